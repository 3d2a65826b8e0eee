"""Networks whose features are compared, and their weights."""
