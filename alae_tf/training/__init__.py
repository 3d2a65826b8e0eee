"""Training: Algorithm 1 (`algorithm.py`), its traced step (`trainer.py`), the loop (`loop.py`)."""
