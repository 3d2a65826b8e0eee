"""The layout of a directory of prepared images, and its plan.

PREFIX-rNN.tfrecords[.PPP]   images of 2^NN pixels (part PPP of them); PREFIX is train or test
PREFIX-labels.npy            int64 [images], if the images have classes
dataset.json                 source, counts, sizes and checksums; written last
.prepare/                    the plan, a note for each finished shard, and unfinished files

StyleGAN's and ALAE's own tools use the same names. No TensorFlow here.
"""

import dataclasses
import re
from pathlib import Path

from alae_tf.system import schema
from alae_tf.system.errors import ConfigError
from alae_tf.system.files import check_directory

FILE = re.compile(r"(?P<prefix>.+)-r(?P<log2>\d\d)\.tfrecords(?:\.(?P<part>\d+))?(?:\.gz)?")
MANIFEST, WORK = "dataset.json", ".prepare"
PLAN = f"{WORK}/plan.json"
MOST_SHARDS = 1000  # files per resolution: their numbers have three digits


def file_name(prefix: str, resolution: int, part: int) -> str:
    """The name of a file, for example train-r07.tfrecords.000 for images of 128 pixels."""
    return f"{prefix}-r{resolution.bit_length() - 1:02}.tfrecords.{part:03}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The settings of a preparation; they must be the same when it is continued."""

    data: str  # URI of the source
    channels: int  # 1 or 3
    max_resolution: int  # pixels, a power of two
    test_fraction: float | None  # as given on the command line
    train: int  # images
    test: int  # images
    shards: int  # of the training images

    @property
    def resolutions(self) -> list[int]:
        """4 to max_resolution."""
        return [2**k for k in range(2, self.max_resolution.bit_length())]

    def check_same(self, path: Path) -> None:
        """Raises ConfigError if the plan in a file differs from this plan or cannot be read."""
        try:
            before = schema.load(path, {str: object})
        except ValueError:
            raise ConfigError(f"{path} is damaged; give another --out.") from None
        differ = [
            f"{name}: {before.get(name)} before, {value} now"
            for name, value in dataclasses.asdict(self).items()
            if before.get(name) != value
        ]
        if differ:
            how = "holds a preparation; give the same settings, or another directory"
            raise ConfigError("\n  ".join([f"--out={path.parents[1]}: {how}:", *differ]))


def rank(name: str) -> int | None:
    """The order in which files are uploaded: the plan, which marks a preparation as unfinished,
    first, and dataset.json last. Notes stay on this machine."""
    if name.startswith(WORK):
        return 0 if name == PLAN else None
    return 2 if name == MANIFEST else 1


def check_out(out: Path) -> None:
    """Raises AlaeError if a directory holds something other than a preparation, or is a file, or
    its dataset.json is not that of a preparation."""
    check_directory("--out", out, "preparation", PLAN)
    try:
        schema.load(out / MANIFEST, {"max_resolution": int, "parts": {str: object}})
    except FileNotFoundError:
        return
    except ValueError as error:
        why = f"its {MANIFEST} was not written by this command ({error}); move it away"
        raise ConfigError(f"--out={out}: {why}.") from None
