"""The one error of the rig: what failed, and why."""


class RigError(Exception):
    """Reads "cannot X: why". A failure of the rig is never counted as a loss of nginx."""
