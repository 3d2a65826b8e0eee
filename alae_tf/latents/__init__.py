"""Operations on codes: mixing, paths and directions. NumPy in, NumPy out.

Codes are w [N, latent] or styles [N, styles, latent], two styles per level, the coarsest first.
"""

from alae_tf.system.errors import AlaeError


class LatentError(AlaeError):
    """A range of levels, a direction or a code does not fit the model."""
