"""Feature networks that compare images, and their weights."""
