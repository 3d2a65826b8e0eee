"""Reads PyTorch's checkpoint files without PyTorch and without running code from them.

A checkpoint is a pickle: a small program that can name any function and call it. This reader knows
only the few names that make tensors and plain containers, and never imports what a file names. It
reads both formats: the zip archive, and the older series of pickles followed by the numbers.
"""

import io
import math
import os
import pickle
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from alae_tf.system.errors import AlaeError

ZIP = b"PK\x03\x04"
LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # the first bytes of the older format
LEGACY_VERSION = 1001
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
# Modules whose names are refused, since calling them could do harm. The last are Python 2's.
KNOWN_MODULES = sys.stdlib_module_names | {
    *("torch", "torchvision", "numpy", "tensorflow", "keras", "alae_tf", "export"),
    *("pip", "setuptools", "pkg_resources"),
    *("__builtin__", "cPickle", "commands", "copy_reg", "exceptions", "popen2", "urllib2"),
}
# Names in known modules that loggers and schedulers store beside the weights; they are not refused,
# but skipped like unknown classes.
SKIPPED = {
    *(("collections", "Counter"), ("collections", "defaultdict")),
    *(("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")),
    *(("numpy", "dtype"), ("_codecs", "encode"), ("torch", "device"), ("torch", "Size")),
}
KEYS = (str, bytes, int, float, bool, type(None))  # types of a dict's keys
LONGEST_INT = 64  # bits of a key; many longer ones could share one hash
MOST_AXES = 8  # of a tensor
# Opcodes that reach beyond the file (a process' registry and buffers), allocate memory before they
# read it, or hash any object (sets, and the dicts of protocol 0). `torch.save` writes none of them.
WITHOUT = pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.BYTEARRAY8
WITHOUT += pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
WITHOUT += pickle.DICT + pickle.EMPTY_SET + pickle.ADDITEMS + pickle.FROZENSET


class PytorchFileError(AlaeError):
    """A file is not a PyTorch checkpoint, is damaged or is refused; the message names it."""


class Contents(NamedTuple):
    """The contents of a checkpoint."""

    # Dicts, lists, tuples, numbers and strings; tensors are read-only NumPy arrays, and objects of
    # unknown classes are `Skipped`.
    data: Any
    skipped: tuple[str, ...]  # names of the unknown classes, sorted


class Skipped:
    """Stands for an object of an unknown class; accepts all entries and keeps none."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    __setitem__ = append = extend = add = __init__


class CheckedDict(dict):
    """A dict whose keys are hashed quickly; hashing a nested tuple could take forever."""

    def __setitem__(self, key: object, value: object) -> None:
        if type(key) not in KEYS or (type(key) is int and key.bit_length() > LONGEST_INT):
            raise PytorchFileError(
                f"refused: a dict has a key of type {type(key).__name__}; only texts and numbers "
                f"of at most {LONGEST_INT} bits are read"
            )
        super().__setitem__(key, value)


class Storage(NamedTuple):
    """The numbers behind tensors, and the most elements that a tensor may have: the bytes of the
    file. A class of its own, so that a tensor is never taken for a storage."""

    values: np.ndarray
    limit: int


def read_pytorch(path: str | Path) -> Contents:
    """Reads a file written by `torch.save`; raises PytorchFileError if it is missing, not a
    checkpoint, damaged, or names a function of a known module."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(LEGACY))
            file.seek(0)
            if head.startswith(ZIP):
                return read_zip(file)
            if head == LEGACY:
                return read_legacy(file)
        raise PytorchFileError("not a PyTorch checkpoint; give a .pth file that torch.save wrote")
    except PytorchFileError as error:
        raise PytorchFileError(f"{path}: {error}.") from None
    except OSError as error:
        raise PytorchFileError(f"{path}: {error.strerror or error}.") from None
    except Exception as error:  # zipfile and pickle raise many classes for damaged bytes
        why = f"{type(error).__name__}: {error}"
        raise PytorchFileError(f"{path}: damaged or cut short ({why}); fetch it again.") from None


def read_zip(file: BinaryIO) -> Contents:
    """The format since PyTorch 1.6: NAME/data.pkl, and NAME/data/KEY for each storage."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in entries if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise PytorchFileError(
                "a zip archive without data.pkl (of NumPy?); give a .pth file that torch.save wrote"
            )
        folder = pickles[0].removesuffix("data.pkl")

        def read(name: str) -> bytes:
            entry = entries[folder + name]
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                raise PytorchFileError(f"{folder}{name} is compressed; PyTorch does not compress")
            return archive.read(entry)

        if folder + "byteorder" in entries and read("byteorder") != b"little":
            raise PytorchFileError("written on a big-endian machine, which is not supported")
        unpickler = Unpickler(io.BytesIO(read("data.pkl")), size)
        data = unpickler.load()
        for key, storage in unpickler.storages.items():
            fill(storage.values, key, read(f"data/{key}"))
    return Contents(data, tuple(sorted(unpickler.skipped)))


def read_legacy(file: BinaryIO) -> Contents:
    """The older format: five pickles, then the count and the numbers of each storage."""
    size = os.fstat(file.fileno()).st_size
    _, version, system = (Unpickler(file, size).load() for _ in range(3))
    # Check types first: the text of a nested object could be endless.
    if type(version) is not int or version != LEGACY_VERSION:
        raise PytorchFileError(f"its format version is not {LEGACY_VERSION}")
    if system["little_endian"] is not True:
        raise PytorchFileError("written on a big-endian machine, which is not supported")
    unpickler = Unpickler(file, size)
    data = unpickler.load()
    keys = Unpickler(file, size).load()
    texts = type(keys) is list and all(type(key) is str for key in keys)
    if not texts or sorted(keys) != sorted(unpickler.storages):
        raise PytorchFileError("damaged: its list of storages does not match its tensors")
    for key in keys:
        values = unpickler.storages[key].values
        count = int.from_bytes(file.read(8), "little")
        if count != values.size:
            raise PytorchFileError(f"damaged: storage {key} has {count} numbers, not {values.size}")
        fill(values, key, file.read(values.nbytes))
    return Contents(data, tuple(sorted(unpickler.skipped)))


def fill(values: np.ndarray, key: str, data: bytes) -> None:
    """Fills a storage from its bytes."""
    if len(data) != values.nbytes:
        raise PytorchFileError(
            f"damaged or cut short: storage {key} has {len(data):,} bytes, not {values.nbytes:,}"
        )
    values[:] = np.frombuffer(data, values.dtype)


# Any, because type checkers know only the unpickler in C, which has no stack.
PYTHONS_UNPICKLER: Any = pickle._Unpickler


class Unpickler(PYTHONS_UNPICKLER):
    """Builds plain containers and tensors, and nothing else.

    It extends Python's unpickler written in Python. The one in C allocates any amount of memory for
    a five-byte opcode, and its BUILD cannot be replaced. `size`, the bytes of the whole file,
    limits the storages, tensors and dicts that the file declares.

    Attributes:
        storages: by key; filled after the pickle has been read.
        skipped: names of unknown classes.
    """

    def __init__(self, file: BinaryIO, size: int):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}
        self.skipped: set[str] = set()
        self._size = self._left = self._pairs_left = size

    def find_class(self, module: str, name: str) -> object:
        """The meaning of a name in the file. Nothing is imported."""
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        match module, name:
            case "collections", "OrderedDict":
                return self.make_dict
            case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                return make_tensor
            case "torch._utils", "_rebuild_parameter":
                return lambda tensor, *_: tensor
        full = f"{module}.{name}"
        known = module.partition(".")[0] in KNOWN_MODULES or not (module and full.isprintable())
        if known and (module, name) not in SKIPPED:
            raise PytorchFileError(
                f"refused, nothing was run: it names {full!a}; only plain containers and tensors "
                f"are read ({', '.join(DTYPES)})"
            )
        self.skipped.add(full)
        return Skipped

    def persistent_load(self, pid: object) -> Storage:
        """A storage, not yet filled. `pid` is ("storage", type, key, device, count), in the older
        format followed by None or by a part of the storage: (key of the part, first, count)."""
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            raise PytorchFileError("refers to something other than a storage, perhaps a module")
        _, dtype, key, _, count, *part = pid
        if not (isinstance(dtype, np.dtype) and type(key) is str and is_counts(count)):
            raise PytorchFileError("damaged: a reference to a storage has no type or size")
        if key not in self.storages:
            self._left -= count * dtype.itemsize
            if self._left < 0:
                raise PytorchFileError("damaged or cut short: it is smaller than its storages")
            self.storages[key] = Storage(np.empty(count, dtype), self._size)
        values = self.storages[key].values
        if values.dtype != dtype or values.size != count:
            raise PytorchFileError(f"damaged: storage {key} has two sizes")
        if not part or part[0] is None:
            return self.storages[key]
        _, first, count = part[0]
        if not is_counts(first, count) or first + count > values.size:
            raise PytorchFileError(f"damaged: a part of storage {key} lies outside it")
        return Storage(values[first : first + count], self._size)

    def make_dict(self, pairs: Sequence[tuple[object, object]] = ()) -> dict:
        """An ordered dict: empty, to be filled later, or of a list of pairs, as Python 2 wrote."""
        self._pairs_left -= len(pairs)  # of all dicts together: a list can be named many times
        if self._pairs_left < 0:
            raise PytorchFileError("damaged: its dicts have more entries than it has bytes")
        made = CheckedDict()
        for key, value in pairs:
            made[key] = value
        return made

    dispatch = {k: load for k, load in PYTHONS_UNPICKLER.dispatch.items() if k not in WITHOUT}
    dispatch |= {
        pickle.EMPTY_DICT[0]: lambda self: self.append(CheckedDict()),
        # BUILD pops an object's state. Containers and tensors need none, and ignoring it runs no
        # code of the object.
        pickle.BUILD[0]: lambda self: self.stack.pop(),
    }


def is_counts(*values: object) -> bool:
    """Whether all are ints of at least 0."""
    return all(type(value) is int and value >= 0 for value in values)


def make_tensor(storage: Storage, first: int, shape: tuple, strides: tuple, *_) -> np.ndarray:
    """A read-only view within a storage, from element `first` on, with strides in elements;
    gradients, hooks and metadata are ignored."""
    if not (
        isinstance(storage, Storage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and len(shape) == len(strides) <= MOST_AXES
        and is_counts(first, *shape, *strides)
        and math.prod(shape) <= storage.limit
    ):
        raise PytorchFileError("damaged: a tensor without storage or shape")
    values = storage.values
    steps = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 in shape:
        first = steps = 0
    elif first + steps >= values.size:
        raise PytorchFileError("damaged: a tensor reaches beyond its storage")
    in_bytes = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[first:], shape, in_bytes, writeable=False)
