"""What is measured: real, generated and reconstructed images, and their features, in parts."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import typing
from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

from alae_tf.data import Source, evenly
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError
from alae_tf.model.autoencoder import Autoencoder

PART = 64  # images at once
MOST_IMAGES = 50_000  # by default, as published figures of FID have


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that a value depends on besides model and data.

    Attributes:
        split: real images to compare with: "test" (those held out) or "train".
        images: real, reconstructed and generated ones, each; 0: all of the split, 50,000 at most.
        noise: of G: "random", as the paper measures, "const" or "none".
        psi: truncation of generated images; 1: none.
        seed: of z, the noise and the choices that a metric makes.
        crop: whether the path length looks at the middle of faces alone, as StyleGAN's did.
    """

    split: str = "test"
    images: int = 0
    noise: str = "random"
    psi: float = 1.0
    seed: int = 0
    crop: bool = False


class Samples:
    """The images of one model's evaluation; each kind is made part by part, whenever asked for.

    Args:
        model: what is measured.
        source: the images that it was trained on, with those held out.
        protocol: how.
        networks: feature networks by name. Called with uint8 images [N, H, W, C] they return
            float32 [N, d]; they have the attributes name and sha256.
        progress: whether to show bars.

    Attributes:
        model, protocol: as given.
        train, test: the sources; test is None if there are no held-out images.
        real_source: the protocol's split.
        count: images of each kind.
        counts: images by kind that have been asked for since it was cleared.

    Raises:
        EvaluationError: the split is not there.
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
        self.counts: dict[str, int] = {}
        self._networks = dict(networks or {})
        self._progress = progress
        self._features: dict[tuple[str, str], np.ndarray] = {}

    def real(self, about: str = "real images") -> Iterator[np.ndarray]:
        """Real images, evenly spread over the split: uint8 [n, H, W, C], some at a time."""
        indices = self.indices()
        self.counts["real"] = self.count
        for part in self._parts(about):
            fitted = [self.real_source.fitted(int(i), self.model.resolution) for i in indices[part]]
            yield np.stack(fitted)

    def labels(self) -> np.ndarray:
        """Classes of the real images [count]."""
        assert self.real_source.labels is not None  # the registry has looked
        return self.real_source.labels[self.indices()]

    def indices(self) -> np.ndarray:
        """Places of the real images in their source, evenly spread."""
        return evenly(self.real_source, self.count)

    def generated(self, about: str = "generated images") -> Iterator[np.ndarray]:
        """Generated images: uint8 [n, H, W, C], some at a time."""
        w = self.model.sample_w(self.count, self.protocol.seed)
        self.counts["generated"] = self.count
        for part in self._parts(about):
            styles = self.model.truncate(w[part], self.protocol.psi)
            yield self.decode(styles, part.start)

    def pairs(self, about: str = "reconstructions") -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Real images and their reconstructions: uint8 [n, H, W, C] each, some at a time."""
        self.counts["reconstructed"] = self.count
        for i, real in enumerate(self.real(about)):
            yield real, self.decode(self.model.encode(real), i * PART)

    def reconstructed(self, about: str = "reconstructions") -> Iterator[np.ndarray]:
        """The second of `pairs`."""
        return (reconstruction for _, reconstruction in self.pairs(about))

    def decode(self, w: np.ndarray, start: int = 0, floats: bool = False) -> np.ndarray:
        """G with the protocol's noise; `start` is the first image's number, so that all differ."""
        seed = self.protocol.seed * 2**20 + 1 + start
        return self.model.decode(w, self.protocol.noise, seed, floats)

    def network(self, name: str) -> typing.Any:
        """A feature network."""
        return self._networks[name]

    def about(self, name: str | None) -> dict[str, typing.Any]:
        """A feature network in results: its checksum, and accuracy if it has one."""
        if name is None:
            return {}
        network = self.network(name)
        accuracy = getattr(network, "accuracy", None)
        known = {} if accuracy is None else {"accuracy": accuracy}
        return {name: {"sha256": network.sha256, **known}}

    def features(self, kind: str, network: str) -> np.ndarray:
        """Features of all images of a kind, computed once; those of real images once for ever.

        Args:
            kind: "real", "generated" or "reconstructed".
            network: its name.

        Returns:
            float32 [count, d].
        """
        key = (kind, network)
        self.counts[kind] = self.count
        if key not in self._features:
            net = self.network(network)
            about = f"{kind} → {network}"
            if kind == "real":
                self._features[key] = self._real_features(net, about)
            else:
                parts = getattr(self, kind)(about)
                self._features[key] = np.concatenate([net(images) for images in parts])
        return self._features[key]

    def _real_features(self, net: Callable, about: str) -> np.ndarray:
        """From the cache if it has them of these very pixels by this network."""
        digest = hashlib.sha256(f"{net.name} {net.sha256}".encode())
        for images in self.real("real images"):
            digest.update(repr(images.shape).encode() + images.tobytes())
        path = weights.cache() / f"features-{digest.hexdigest()[:32]}.npy"
        kept = weights.kept(path)
        if kept is not None:
            return np.load(io.BytesIO(kept), allow_pickle=False)
        features = np.concatenate([net(images) for images in self.real(about)])
        file = io.BytesIO()
        np.save(file, features)
        weights.keep(path, file.getvalue())
        return features

    def _parts(self, about: str) -> Iterator[slice]:
        """The slices of `count` images, with a bar."""
        with tqdm(
            total=self.count, desc=about, unit="image", leave=False, disable=not self._progress
        ) as bar:
            for start in range(0, self.count, PART):
                yield slice(start, min(start + PART, self.count))
                bar.update(PART)


def real_images(source: Source, protocol: Protocol) -> Source:
    """The protocol's split of a source.

    Raises:
        EvaluationError: there are no held-out images.
    """
    if protocol.split == "train":
        return source
    if source.held_out is None:
        raise EvaluationError(
            f"--split=test: {source.uri} holds no images out; measure with --split=train."
        )
    return source.held_out


def count_images(source: Source, protocol: Protocol) -> int:
    """Images of each kind: what the protocol asks for, or what there is if that is less."""
    return min(protocol.images or MOST_IMAGES, len(real_images(source, protocol)))


def load_network(name: str, source: Source, resolution: int) -> typing.Any:
    """A published feature network, or the classifier of digits, which is trained if it must.

    Args:
        name: "lpips", "inception" or "digits".
        source: images that the classifier learns from.
        resolution: at which.

    Raises:
        EvaluationError: its weights are not there, or it cannot be trained on this data.
    """
    if name == "lpips":
        from alae_tf.features.lpips import Lpips

        return Lpips()
    if name == "inception":
        from alae_tf.features.inception import Inception

        return Inception()
    from alae_tf.features.digits import classifier

    return classifier(source, source.held_out, resolution)
