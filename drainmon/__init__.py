"""drainmon: drains nginx pods without losing a request."""

__version__ = "0.1.0"

SOURCES = ("core", "bcc", "procfs")
"""The sources of counts, best first."""

AUTO = "auto"
"""In place of a source's name: the best source that works."""
