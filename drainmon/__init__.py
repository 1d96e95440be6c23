"""drainmon: drains nginx pods without losing a request."""

__version__ = "0.1.0"
