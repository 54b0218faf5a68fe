"""The error of this package."""


class CheckpointError(RuntimeError):
    """A file that cannot be read, or weights that do not fit the model."""
