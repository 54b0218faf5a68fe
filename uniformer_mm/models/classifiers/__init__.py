"""Classifiers of our own; each module imports the library whose classifier it extends."""
