"""Images as TFRecords, in the format of StyleGAN's and ALAE's own tools.

A record is a tf.train.Example of `shape` (int64 [C, H, W]) and `data` (uint8 in that order).
TensorFlow is imported with the first record.
"""

import math

import numpy as np


def to_record(image: np.ndarray) -> bytes:
    """An image, uint8 [H, W, C], as a record; equal images give equal bytes."""
    import tensorflow as tf

    pixels = image.transpose(2, 0, 1)  # [C, H, W]
    feature = {
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=pixels.shape)),
        "data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels.tobytes()])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def from_record(record: bytes) -> np.ndarray:
    """The image in a record: uint8 [H, W, C], read-only; raises ValueError if the record does not
    hold an image in this format."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        raise ValueError("is not a tf.train.Example") from None
    for name in ("shape", "data"):
        if name not in features:
            held = ", ".join(sorted(features)) or "nothing"
            raise ValueError(f"lacks the feature '{name}' (it has {held})")
    shape, data = list(features["shape"].int64_list.value), features["data"].bytes_list.value
    if len(shape) != 3 or min(shape) < 1 or shape[0] not in (1, 3):
        raise ValueError(f"has the shape {shape} instead of [1 or 3, height, width]")
    if [len(value) for value in data] != [math.prod(shape)]:
        raise ValueError(f"has {sum(map(len, data)):,} bytes of data for the shape {shape}")
    return np.frombuffer(data[0], np.uint8).reshape(shape).transpose(1, 2, 0)


def label(record: bytes) -> int | None:
    """The feature `label` of a record, or None if it has none."""
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    values = features["label"].int64_list.value if "label" in features else ()
    return values[0] if len(values) == 1 else None
