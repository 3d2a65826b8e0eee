"""Trained models as SavedModel, TFLite and ONNX files, see `alae export --help`.

Nothing is imported from TensorFlow before it is needed. In a wheel this folder is
`alae_tf.export`, so its modules import one another relatively.
"""

from alae_tf.system.errors import AlaeError


class ExportError(AlaeError):
    """A flag, file or setting is wrong; the message names it and what is expected. Exit code 2."""


class ExportFailed(ExportError):
    """The work failed; the message says where and why. Exit code 1."""

    exit_code = 1
