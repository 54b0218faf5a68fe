"""Trained models as files that run without this package: networks, what is done before, formats."""
