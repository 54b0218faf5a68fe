"""Errors that end a tool with one message."""


class UserError(Exception):
    """Something the user can put right; the message says what and how."""


class CheckpointError(UserError):
    """A file that cannot be read, or weights that do not fit the model."""
