"""The requirements of each source, and whether this host meets them."""
