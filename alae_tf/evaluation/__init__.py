"""How good a model is: a file a metric."""
