"""The metrics by name, and `evaluate`, which training, the command and the Python API share."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import pkgutil
import time
import typing
from collections.abc import Callable, Iterable

from alae_tf import __version__
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError
from alae_tf.runs.results import Result
from alae_tf.system import float32

if typing.TYPE_CHECKING:  # names are checked before TensorFlow is imported
    from alae_tf.data import Source
    from alae_tf.evaluation.samples import Protocol
    from alae_tf.model.autoencoder import Autoencoder

LOWER, HIGHER, NEITHER = "lower", "higher", "neither"
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")  # that values depend on


class Metric(typing.NamedTuple):
    """One metric, or several that are computed together."""

    better: str | tuple[str, ...]  # which values: LOWER, HIGHER or NEITHER; or that for each part
    about: str  # one line on its meaning
    # "module:name" of a function, called with `Samples` and `arguments`; it returns a number, or a
    # dict of numbers by name.
    function: str
    arguments: tuple[str, ...] = ()  # of the function, after `Samples`
    networks: tuple[str, ...] = ()  # names of the feature networks that it needs
    labels: bool = False  # whether it needs labels and held-out images
    parts: tuple[str, ...] = ()  # names of its values, if it has several
    # Settings (name, value) that it uses in place of the protocol's.
    fixed: tuple[tuple[str, typing.Any], ...] = ()
    fewest: int = 2  # images that it needs
    floor: bool = False  # whether real images can take the place of generated ones

    def better_of(self, part: str) -> str:
        """Which values of a part are better: LOWER, HIGHER or NEITHER."""
        if isinstance(self.better, str):
            return self.better
        return self.better[self.parts.index(part)]


def _distances() -> dict[str, Metric]:
    """fid, kid, fd_* and kd_*, of generated and of reconstructed images."""
    found = {}
    for kind, ending in (("generated", ""), ("reconstructed", "_reconstruction")):
        for name, network, features in (
            ("id", "inception", "Inception"),
            ("d_lpips", "lpips", "LPIPS"),
            ("d_digits", "digits", "digit classifier's"),
        ):
            for letter, function, of in (("f", "frechet", "Fréchet"), ("k", "kernel", "kernel")):
                if letter + name == "kd_digits":
                    continue
                found[f"{letter}{name}{ending}"] = Metric(
                    LOWER,
                    f"{of} distance of {kind} images, {features} features",
                    f"alae_tf.evaluation.fidelity:{function}",
                    (kind, network),
                    (network,),
                    labels=network == "digits",
                    floor=kind == "generated",
                )
    return found


METRICS: dict[str, Metric] = {
    "representation": Metric(
        HIGHER,
        "1-NN and linear SVM on E's features, on pixels and on their principal components",
        "alae_tf.evaluation.representation:representation",
        labels=True,
        parts=tuple(
            f"{kind}_{features}"
            for features in ("short", "long", "pixels", "pca")
            for kind in ("1nn", "svm")
        ),
        fixed=(("split", "test"), ("images", 0)),
    ),
    **_distances(),
    **{
        name: Metric(
            HIGHER,
            f"share of {some} images within the {others} ones' manifold, LPIPS features",
            f"alae_tf.evaluation.fidelity:{name}",
            networks=("lpips",),
            fewest=4,
            floor=True,
        )
        for name, some, others in (
            ("precision", "generated", "real"),
            ("recall", "real", "generated"),
        )
    },
    **{
        f"ppl_{space}_{where}": Metric(
            LOWER,
            f"perceptual path length in {space}, {where}",
            "alae_tf.evaluation.path_length:path_length",
            (space, where),
            ("lpips",),
        )
        for space in "wz"
        for where in ("full", "end")
    },
    "lpips_reconstruction": Metric(
        LOWER,
        "LPIPS (VGG) between image and reconstruction",
        "alae_tf.evaluation.pixels:lpips",
        networks=("lpips",),
    ),
    "lpips_alex_reconstruction": Metric(
        LOWER,
        "LPIPS (AlexNet) between image and reconstruction",
        "alae_tf.evaluation.pixels:lpips",
        ("lpips_alex",),
        ("lpips_alex",),
    ),
    "psnr": Metric(
        HIGHER,
        "peak signal-to-noise ratio of reconstructions, dB",
        "alae_tf.evaluation.pixels:psnr",
    ),
    "ssim": Metric(
        HIGHER, "structural similarity of reconstructions", "alae_tf.evaluation.pixels:ssim"
    ),
    "identity": Metric(
        (LOWER, HIGHER, HIGHER, *4 * (NEITHER,)),
        "likeness of reconstructed faces to their originals, by a face recognition network",
        "alae_tf.evaluation.identity:identity",
        networks=("identity",),
        parts=(
            *("distance", "within_0.6", "found", "same_person", "two_people"),
            *("same_person_within_0.6", "two_people_within_0.6"),
        ),
    ),
    "found": Metric(
        HIGHER,
        "share of reconstructions whose nearest of 50 images, in pixels, is their own",
        "alae_tf.evaluation.found:found",
    ),
    "projection": Metric(
        LOWER,
        "errors before and after refining E(x); takes half a minute per image",
        "alae_tf.evaluation.projection:projection",
        networks=("lpips", "lpips_alex"),
        parts=(
            *("lpips_before", "mse_before", "lpips_alex_before"),
            *("lpips_after", "mse_after", "lpips_alex_after"),
        ),
        fixed=(("noise", "const"), ("psi", 1.0)),
    ),
    "projection_identity": Metric(
        (LOWER, HIGHER, LOWER, HIGHER),
        "identity of faces before and after refining E(x); with projection, no extra time",
        "alae_tf.evaluation.projection:projection_identity",
        networks=("lpips", "identity"),
        parts=("distance_before", "found_before", "distance_after", "found_after"),
        fixed=(("noise", "const"), ("psi", 1.0)),
    ),
    "latent_cycle": Metric(
        LOWER,
        "error of E(G(w)) relative to the spread of w",
        "alae_tf.evaluation.cycle:latent_cycle",
        fixed=(("psi", 1.0),),
    ),
    "code_gap": Metric(
        LOWER,
        "how well a linear classifier tells real from generated images by their codes; best: 0.5",
        "alae_tf.evaluation.code_gap:code_gap",
        parts=("real_vs_generated", "real_vs_w"),
        fixed=(("psi", 1.0),),
        fewest=4,
    ),
    "same_digit": Metric(
        HIGHER,
        "share of reconstructions that a classifier assigns to the right class",
        "alae_tf.evaluation.same_digit:same_digit",
        networks=("digits",),
        labels=True,
    ),
}


GROUPS: dict[str, tuple[str, ...]] = {  # names that stand for several metrics
    "reconstruction": (
        *("lpips_reconstruction", "lpips_alex_reconstruction", "psnr", "ssim"),
        *("identity", "found", "latent_cycle", "code_gap"),
    ),
}


def check_names(names: Iterable[str], flag: str = "--metrics") -> list[str]:
    """The metrics that a flag names, without blanks and repetitions, with groups replaced by their
    metrics; raises EvaluationError if a name is unknown, or if there are no names."""
    names = list(dict.fromkeys(name.strip() for name in names))
    for name in names or [""]:
        if name not in METRICS and name not in GROUPS:
            known = ", ".join([*METRICS, *GROUPS])
            raise EvaluationError(f"{flag}={','.join(names)}: {name!r} is not one of {known}.")
    return list(dict.fromkeys(each for name in names for each in GROUPS.get(name, (name,))))


def value_names(names: Iterable[str]) -> dict[str, str]:
    """Names of the values of metrics, for example "psnr" and "representation/1nn_short", and which
    values are better: LOWER, HIGHER or NEITHER."""
    return {
        f"{name}/{part}" if part else name: METRICS[name].better_of(part)
        for name in names
        for part in METRICS[name].parts or ("",)
    }


@float32.used()
def open_networks(
    names: Iterable[str],
    source: Source,
    protocol: Protocol,
    resolution: int,
    given: dict[str, typing.Any] | None = None,
) -> dict[str, typing.Any]:
    """Checks that metrics can be measured, and loads their feature networks by name.

    `resolution` is that of the model's top level; smaller images are enlarged. Networks in `given`
    are not loaded again. Raises EvaluationError if labels, images or a file of weights are missing.
    """
    from alae_tf.evaluation import samples

    names, networks = list(names), dict(given or {})
    check_images(names, source, protocol)
    for network in dict.fromkeys(each for name in names for each in METRICS[name].networks):
        if network not in networks:
            networks[network] = samples.load_network(network, source, resolution)
    return networks


def check_images(names: Iterable[str], source: Source, protocol: Protocol) -> None:
    """Raises EvaluationError if labels or images are missing."""
    from alae_tf.evaluation import samples

    test = source.held_out
    count = samples.count_images(source, protocol)
    for name in names:
        metric = METRICS[name]
        if metric.labels and (source.labels is None or test is None or test.labels is None):
            raise EvaluationError(
                f"--metrics={name}: needs labels and held-out images, which --data={source.uri} "
                "lacks."
            )
        if count < metric.fewest:
            raise EvaluationError(
                f"--images: {name} needs at least {metric.fewest} images, got {count}."
            )


def lacking(names: Iterable[str], source: Source, protocol: Protocol) -> str | None:
    """What metrics need but this machine or the images lack; None if nothing is missing. Loads and
    fetches nothing."""
    names = list(names)
    try:
        check_images(names, source, protocol)
    except EvaluationError as error:
        return str(error)
    return weights.missing(each for name in names for each in METRICS[name].networks)


@float32.used()
def evaluate(
    model: Autoencoder,
    source: Source,
    names: Iterable[str],
    protocol: Protocol | None = None,
    networks: dict[str, Callable] | None = None,
    about: dict[str, typing.Any] | None = None,
    progress: bool = False,
    tell: Callable[[Result], None] | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> list[Result]:
    """Measures a model, in true float32 (`alae_tf.system.float32`).

    Args:
        model, source, protocol, networks, progress: see `Samples`.
        about: the run and its weights, to be recorded in the results.
        tell: called with each result as soon as it is known.
        failed: called with the name and the exception of each metric that fails; the others are
            still measured. Default: the exception is raised.

    Raises:
        EvaluationError: a metric is unknown or cannot be measured; raised before long work.
        DataError: an image cannot be read.
    """
    from alae_tf.evaluation.samples import Protocol, Samples

    names, protocol = check_names(names), protocol or Protocol()
    networks = open_networks(names, source, protocol, model.config.resolution, networks)
    samples = Samples(model, source, protocol, networks, progress)
    results = []
    for name in names:
        metric, started = METRICS[name], time.perf_counter()
        measure = pkgutil.resolve_name(metric.function)
        samples.counts.clear()
        try:
            found = measure(samples, *metric.arguments)
        except Exception as error:  # for example LinAlgError
            if failed is None:
                raise
            failed(name, error)
            continue
        values = found if isinstance(found, dict) else {"": found}
        for part, value in values.items():
            result = Result(
                metric=f"{name}/{part}" if part else name,
                value=float(value),
                better=metric.better_of(part),
                protocol={**dataclasses.asdict(samples.protocol), **dict(metric.fixed)},
                data=source.uri,
                counts=dict(samples.counts),
                networks={each: samples.about(each) for each in metric.networks},
                model={
                    **(about or {}),
                    "images_seen": model.images_seen,
                    "level": model.level,
                    "blend": float(model.blend),
                    "resolution": model.resolution,
                },
                seconds=round(time.perf_counter() - started, 3),
                versions={"alae-tf": __version__}
                | {package: importlib.metadata.version(package) for package in PACKAGES},
                date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            )
            results.append(result)
            if tell is not None:
                tell(result)
    return results
