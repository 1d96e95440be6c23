"""drainmon: drains nginx pods with nothing lost."""

__version__ = "0.1.0"
