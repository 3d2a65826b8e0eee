"""Trained models as files for others to run: SavedModel, TFLite and ONNX.

`python -m export --help`; nothing here imports TensorFlow before it is needed.
"""

from alae_tf.errors import AlaeError

QUANTIZATIONS = ("none", "float16", "dynamic_int8", "int8")  # of TFLite files


class ExportError(AlaeError):
    """Something the user can mend; the message names the flag or file and what would be right."""
