"""Real, generated and reconstructed images and their features, which the metrics measure."""

import dataclasses
import hashlib
import io
import pkgutil
import typing
from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

from alae_tf.data import Source, evenly
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError
from alae_tf.model.autoencoder import Autoencoder

PART = 64  # images at once
PUBLISHED = {  # classes, imported when they are needed, and their arguments
    "lpips": ("alae_tf.features.lpips:Lpips", "vgg"),
    "lpips_alex": ("alae_tf.features.lpips:Lpips", "alex"),
    "identity": ("alae_tf.features.identity:Identity",),
    "inception": ("alae_tf.features.inception:Inception",),
}
MOST_IMAGES = 50_000  # by default, as for published FIDs


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything besides model and data that a value depends on."""

    split: str = "test"  # real images to compare with: "test" (held out) or "train"
    images: int = 0  # number of real images; 0: all of the split, at most 50,000
    generated: int = 0  # number of generated images; 0: as many as real ones
    noise: str = "random"  # of G: "random" (as in the paper), "const" or "none"
    psi: float = 1.0  # truncation of generated images; 1: none
    seed: int = 0  # of z, the noise and the random choices of a metric
    crop: str = "none"  # path length: the part of images to use; see `path_length.CROPS`
    style_mixing: float = 0.0  # probability with which a generated image mixes the styles of two z


class Samples:
    """The images of one model's evaluation, computed in parts at each request.

    Args:
        model: the model to measure, or a baseline with its methods.
        source: the model's training images, with those held out.
        protocol: default: `Protocol()`.
        networks: feature networks by name: functions of uint8 images [N, H, W, C] that return
            float32 [N, d], with the attributes name and sha256.
        progress: whether to show progress bars.

    Attributes:
        real_source: the protocol's split.
        count: number of real images, and of their reconstructions.
        generated_count: number of generated images.
        indices: indices of the real images in their source, evenly spread.
        counts: number of images by kind, for the kinds requested since it was cleared.

    Raises:
        EvaluationError: the source does not have the split.
    """

    def __init__(
        self,
        model: Autoencoder,
        source: Source,
        protocol: Protocol | None = None,
        networks: dict[str, Callable] | None = None,
        progress: bool = False,
    ):
        self.model, self.protocol = model, protocol or Protocol()
        self.train, self.test = source, source.held_out
        self.real_source = real_images(source, self.protocol)
        self.count = count_images(source, self.protocol)
        self.generated_count = self.protocol.generated or self.count
        self.indices = evenly(self.real_source, self.count)
        self.counts: dict[str, int] = {}
        self._networks = dict(networks or {})
        self._progress = progress
        self._features: dict[tuple[str, str], np.ndarray] = {}
        self.projections: list = []  # see `alae_tf.evaluation.projection`

    def real(self, about: str = "real images") -> Iterator[np.ndarray]:
        """Real images, evenly spread over the split: parts, uint8 [n, H, W, C]."""
        self.counts["real"] = self.count
        yield from self.read(self.indices, about)

    def labels(self) -> np.ndarray:
        """Classes of the real images [count]."""
        assert self.real_source.labels is not None  # checked by the registry
        return self.real_source.labels[self.indices]

    def candidates(self, most: int) -> np.ndarray:
        """Indices of the real images among which each reconstruction is looked for, ascending.

        They are spread evenly over the split, whatever the number of images that are measured. A
        split of fewer than `most` images has fewer.
        """
        count = min(most, len(self.real_source))
        self.counts["candidates"] = count
        return evenly(self.real_source, count)

    def read(self, indices: np.ndarray, about: str = "real images") -> Iterator[np.ndarray]:
        """Images of the split by their indices: parts, uint8 [n, H, W, C]."""
        for part in self._parts(len(indices), about):
            yield self.real_source.take(indices[part], self.model.resolution)

    def generated(self, about: str = "generated images") -> Iterator[np.ndarray]:
        """Generated images: parts, uint8 [n, H, W, C]."""
        w = self.model.sample_w(self.generated_count, self.protocol.seed)
        self.counts["generated"] = len(w)
        for part in self._parts(len(w), about):
            styles = self.model.truncate(w[part], self.protocol.psi)
            yield self.decode(self._mixed(styles, part.start), part.start)

    def _mixed(self, styles: np.ndarray, start: int) -> np.ndarray:
        """Style mixing as in training, but drawn for each image: with the protocol's probability,
        its styles [styles, latent] from a random layer on are those of a second z. The codes of
        baselines, which are no styles, stay as they are."""
        if not self.protocol.style_mixing or not isinstance(self.model, Autoencoder):
            return styles
        count, layers, latent = styles.shape
        rng = np.random.default_rng([self.protocol.seed, start])
        w = self.model.map(rng.standard_normal((count, latent), np.float32))
        cutoff = rng.integers(1, 2 * (self.model.level + 1), count, endpoint=True)
        cutoff[rng.random(count) >= self.protocol.style_mixing] = layers
        other = self.model.truncate(w, self.protocol.psi)
        return self.model.alae.mix(styles, other, cutoff[:, np.newaxis, np.newaxis]).numpy()

    def pairs(self, about: str = "reconstructions") -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Real images and their reconstructions: parts, uint8 [n, H, W, C] each."""
        self.counts["reconstructed"] = self.count
        for i, real in enumerate(self.real(about)):
            yield real, self.decode(self.model.encode(real, layers=True), i * PART)

    def reconstructed(self, about: str = "reconstructions") -> Iterator[np.ndarray]:
        """The reconstructions of `pairs`."""
        return (reconstruction for _, reconstruction in self.pairs(about))

    def decode(self, w: np.ndarray, start: int = 0, floats: bool = False) -> np.ndarray:
        """G with the protocol's noise, which `start`, the number of the first image, varies."""
        seed = self.protocol.seed * 2**20 + 1 + start
        return self.model.decode(w, self.protocol.noise, seed, floats)

    def network(self, name: str) -> typing.Any:
        """A feature network."""
        return self._networks[name]

    def about(self, name: str) -> dict[str, typing.Any]:
        """A feature network as results record it: its checksum, and its accuracy if known."""
        network = self.network(name)
        accuracy = getattr(network, "accuracy", None)
        known = {} if accuracy is None else {"accuracy": accuracy}
        return {"sha256": network.sha256, **known}

    def features(self, kind: str, network: str) -> np.ndarray:
        """Features of all images of a kind, float32 [count, d], computed once.

        `kind` is "real" (see `features_of`), "generated" or "reconstructed".
        """
        self.counts[kind] = self.generated_count if kind == "generated" else self.count
        if (kind, network) not in self._features:
            if kind == "real":
                found = self.features_of(self.indices, network)
            else:
                net, parts = self.network(network), getattr(self, kind)(f"{kind} → {network}")
                found = np.concatenate([net(images) for images in parts])
            self._features[kind, network] = found
        return self._features[kind, network]

    def features_of(self, indices: np.ndarray, network: str) -> np.ndarray:
        """Features of images of the split by their indices, float32 [n, d].

        They are cached on disk, by the images' pixels and the network.
        """
        net = self.network(network)
        digest = hashlib.sha256(f"{net.name} {net.sha256}".encode())
        for images in self.read(indices):
            digest.update(repr(images.shape).encode() + images.tobytes())
        path = weights.cache() / f"features-{digest.hexdigest()[:32]}.npy"
        kept = weights.kept(path)
        if kept is not None:
            return np.load(io.BytesIO(kept), allow_pickle=False)
        parts = self.read(indices, f"real → {network}")
        features = np.concatenate([net(images) for images in parts])
        file = io.BytesIO()
        np.save(file, features)
        weights.keep(path, file.getvalue())
        return features

    def _parts(self, count: int, about: str) -> Iterator[slice]:
        """Slices of `count` images, with a progress bar."""
        with tqdm(
            total=count, desc=about, unit="image", leave=False, disable=not self._progress
        ) as bar:
            for start in range(0, count, PART):
                yield slice(start, min(start + PART, count))
                bar.update(PART)


def real_images(source: Source, protocol: Protocol) -> Source:
    """The protocol's split of a source; raises EvaluationError if no images are held out."""
    if protocol.split == "train":
        return source
    if source.held_out is None:
        raise EvaluationError(
            f"--split=test: {source.uri} holds no images out; measure with --split=train."
        )
    return source.held_out


def count_images(source: Source, protocol: Protocol) -> int:
    """Number of real images: the protocol's, or fewer if the split is smaller."""
    return min(protocol.images or MOST_IMAGES, len(real_images(source, protocol)))


def load_network(name: str, source: Source, resolution: int) -> typing.Any:
    """A network of `PUBLISHED`, or "digits", a classifier of the source at a resolution.

    Raises:
        EvaluationError: the weights are missing, or the data has no labels to train with.
    """
    if name == "digits":
        from alae_tf.features.digits import classifier

        return classifier(source, source.held_out, resolution)
    kind, *arguments = PUBLISHED[name]
    return pkgutil.resolve_name(kind)(*arguments)
