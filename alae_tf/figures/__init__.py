"""Pictures of a run: a function a kind. They take an `Autoencoder`; arrays in, pictures out.

A picture is uint8 [H, W, 3]; a function that gives several gives the frames of an animation.
"""

from alae_tf.errors import AlaeError

# Images of a kind, where --count does not tell, and seconds that a frame is shown.
COUNTS = {
    "reconstruct": 16,
    "generate": 40,
    "interpolate": 6,
    "mix": 5,
    "traverse": 4,
    "training": 8,
    "nearest": 8,
    "embedding": 2000,
    "project": 8,
}
METHODS = ("tsne", "pca")  # of an embedding
SECONDS = {"interpolate": 0.06, "traverse": 0.06, "training": 0.4}


class FigureError(AlaeError):
    """A figure cannot be made of what was given; the message says what would be right."""
