"""The one error of the rig: what it could not do, and why."""


class RigError(Exception):
    """Reads "cannot X: why". The rig failed, which is never counted as a loss of nginx."""
