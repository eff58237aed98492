"""The root of every error this package raises on purpose."""


class FractureCoreError(Exception):
    """Something a user can act on; its message is one plain sentence, fit to be shown as it is."""
