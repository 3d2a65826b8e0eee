"""E and G as functional Keras models, to put a classifier on E, or a network of your own before G.

Each E and each G has a method `functional`, which builds such a graph of copies of its layers, for
one level and blend. The graph has only the weights that this level uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from alae_tf.networks.names import named_variables

if TYPE_CHECKING:
    from alae_tf.networks.alae import ALAE


def copied(layer: Any, name: str, kind: type | None = None, **changes: Any) -> Any:
    """A copy of a layer in float32, with weights of its own.

    Args:
        layer: a layer.
        name: the name of the copy.
        kind: the class of the copy; default: that of the layer. A base class copies only the
            weights that it has; a subclass initialises its additional weights.
        changes: entries that replace or extend the layer's `get_config`.
    """
    kind = kind or type(layer)
    described: Any = kind if isinstance(layer, kind) else type(layer)
    config = described.get_config(layer) | {"name": name, "dtype": "float32"} | changes
    copy = kind.from_config(config)
    weights = dict(named_variables(layer, ""))
    for path, variable in named_variables(copy, ""):
        if path in weights:
            variable.assign(weights[path])
    return copy


def encoder(
    alae: ALAE, level: int, blend: float, shape: tuple[int, int, int], layers: bool
) -> keras.Model:
    """See `alae_tf.model.autoencoder.Autoencoder.encoder`; `shape` is (H, W, C) of an image."""
    images = keras.Input(shape, dtype="float32", name="images")
    w, corrections = alae.E.functional(images, level, blend, layers)
    if alae.latent_regression == "z":
        w = copied(alae.F, "F")(w)
    if layers:
        w = keras.ops.expand_dims(w, 1)
        w = keras.ops.repeat(w, alae.styles, axis=1) if corrections is None else w + corrections
    return keras.Model(images, w, name="encoder")


def decoder(alae: ALAE, level: int, blend: float, layers: bool) -> keras.Model:
    """See `alae_tf.model.autoencoder.Autoencoder.decoder`."""
    latent = alae.F.latent_size
    shape = (alae.styles, latent) if layers else (latent,)
    codes = keras.Input(shape, dtype="float32", name="styles" if layers else "w")
    styles = keras.ops.unstack(codes, axis=1) if layers else [codes] * alae.styles
    return keras.Model(codes, alae.G.functional(styles, level, blend), name="decoder")
