"""How good a model is: a file a metric, feature networks, and the registry that joins them."""
