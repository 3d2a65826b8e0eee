"""Writes files as `torch.save` does, without PyTorch, and ones that it would never write."""

import pickle
import struct
import zipfile

import numpy as np

KINDS = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte"}


class Code(bytes):
    """Opcodes that stand for a value."""


def name(module, attribute):
    return Code(f"c{module}\n{attribute}\n".encode())


def call(function, *args):
    return Code(code(function) + code(args) + b"R")


def code(value):
    """The opcodes that build a value."""
    if isinstance(value, Code):
        return bytes(value)
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, int):
        return b"I%d\n" % value
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    if isinstance(value, list):
        return b"(" + b"".join(map(code, value)) + b"l"
    return b"}(" + b"".join(code(k) + code(v) for k, v in value.items()) + b"u"


def storage(key, count, kind="Float", legacy=False, part=None):
    reference = ("storage", name("torch", f"{kind}Storage"), key, "cuda:0", count)
    return Code(code((*reference, part) if legacy else reference) + b"Q")


def tensor(storage, first, shape, strides):
    args = (storage, first, tuple(shape), tuple(strides), False, {})
    return call(name("torch._utils", "_rebuild_tensor_v2"), *args)


def encode(value, storages, legacy):
    """Puts tensors in the place of arrays, whose numbers are added to `storages`."""
    if isinstance(value, dict):
        return {key: encode(entry, storages, legacy) for key, entry in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    key = str(len(storages))
    storages[key] = np.ascontiguousarray(value)
    strides = [stride // value.itemsize for stride in storages[key].strides]
    kind = KINDS[value.dtype.str[1:]]
    return tensor(storage(key, value.size, kind, legacy), 0, value.shape, strides)


def write(path, value, legacy=False, storages=None):
    """Writes nested dicts of arrays, `Code` and plain values.

    Args:
        path: of the file.
        legacy: in the older format.
        storages: {key: array} that `Code` refers to.

    Returns:
        The path as a text.
    """
    storages = dict(storages or {})
    data = b"\x80\x02" + code(encode(value, storages, legacy)) + b"."
    if legacy:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
        heads = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, system)]
        keys = pickle.dumps(list(storages), 2)
        numbers = [struct.pack("<q", a.size) + a.tobytes() for a in storages.values()]
        path.write_bytes(b"".join([*heads, data, keys, *numbers]))
        return str(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", data)
        archive.writestr("model/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"model/data/{key}", array.tobytes())
    return str(path)
