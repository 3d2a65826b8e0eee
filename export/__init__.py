"""Trained models as files for others to run: SavedModel, TFLite and ONNX.

`python -m export --help`; nothing here imports TensorFlow before it is needed.
"""


class ExportError(ValueError):
    """Something the user can mend; the message names the flag or file and what would be right."""
