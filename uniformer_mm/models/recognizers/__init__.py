"""Recognizers of our own; each module imports the library whose recognizer it extends."""
