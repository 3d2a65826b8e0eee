"""Algorithm 1 (`step.py`), and the loop that calls it."""
