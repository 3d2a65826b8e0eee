"""Trained models as files for others to run: SavedModel, TFLite and ONNX.

`alae export --help`; nothing here imports TensorFlow before it is needed. A wheel carries this
folder as `alae_tf.export`, which is why its modules import one another relatively.
"""

from alae_tf.system.errors import AlaeError


class ExportError(AlaeError):
    """A wrong flag, file or setting; the message names it and what would be right. Exit code 2."""


class ExportFailed(ExportError):
    """The work failed on the way; the message says where and why."""

    exit_code = 1
