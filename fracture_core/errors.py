"""The base class of all errors that this package raises deliberately."""


class FractureCoreError(Exception):
    """An error that a user can act on; its message is a plain sentence that can be shown as it is."""
