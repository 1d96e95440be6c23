"""What each source needs, what this host has of it, and which source that makes."""
