"""The losses of Algorithm 1: one value per example, reduced once, in the train step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def discriminator_loss(fake_logits: tf.Tensor, real_logits: tf.Tensor) -> tf.Tensor:
    """softplus(D(fake)) + softplus(−D(real)), the non-saturating GAN loss. [N], [N] → [N]."""
    return tf.nn.softplus(fake_logits) + tf.nn.softplus(-real_logits)


def generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """softplus(−D(fake)). [N] → [N]."""
    return tf.nn.softplus(-fake_logits)


def latent_loss(w: tf.Tensor, w_reconstructed: tf.Tensor) -> tf.Tensor:
    """Mean over coordinates of (E(G(w)) − w)², with w held fixed. [N, L], [N, L] → [N].

    With z regression, z takes the place of w. F depends only on the direction of z, so E cannot
    recover its length: for n coordinates an error of about 1/(2n) remains.
    """
    return tf.reduce_mean(tf.square(w_reconstructed - tf.stop_gradient(w)), axis=-1)


def perceptual_distance(maps: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> tf.Tensor:
    """How far the feature maps of images lie apart: squared distance of the unit vectors at each
    position, averaged over positions and summed over maps. Pairs of [N, h, w, C] → [N].

    Like LPIPS (Zhang et al., CVPR 2018), but without its channel weights.
    """
    distances = []
    for pair in zip(maps, others, strict=True):
        a, b = (tf.math.l2_normalize(tf.cast(each, tf.float32), -1, 1e-8) for each in pair)
        distances.append(tf.reduce_mean(tf.reduce_sum((a - b) ** 2, -1), [1, 2]))
    return tf.add_n(distances)


def logits_and_r1(
    logits: Callable[[tf.Tensor], tf.Tensor],
    real: tf.Tensor,
    gamma: float,
    scale: tf.Tensor | float = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The logits of real images and their R1 penalty, γ/2 · Σ‖∂ logit / ∂ pixel‖².

    Args:
        logits: images [N, H, W, C] → [N]. With `minibatch_std` a logit also depends on other
            images; the sum of all logits is then differentiated, as in StyleGAN.
        real: float32 [N, H, W, C].
        gamma: weight of the penalty (γ = 10 in the paper).
        scale: the gradient is computed `scale` times as large and divided by it in float32, so
            that it does not underflow in float16.

    Returns:
        (logits [N], penalty [N]), the penalty summed over pixels and channels of each image.
        With γ = 0 nothing is differentiated.
    """
    if gamma == 0:
        return logits(real), tf.zeros([tf.shape(real)[0]], real.dtype)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(real)
        real_logits = logits(real)
        scaled = real_logits * scale
    gradient = tape.gradient(scaled, real) / scale
    return real_logits, gamma / 2 * tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3])
