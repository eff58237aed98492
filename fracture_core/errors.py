"""The root of every error that this package raises on purpose."""


class FractureCoreError(Exception):
    """An error that a user can act on; its message is a plain sentence that can be shown as it is."""
