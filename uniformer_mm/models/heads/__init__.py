"""Heads of our own; each module imports the library whose head it extends."""
