"""Encodes photos and decodes codes on a device with LiteRT, NumPy and Pillow, no TensorFlow.

alae encode photo.png --model=encoder.tflite --out=w.npy
alae encode --decode=w.npy --model=decoder.tflite --out=picture.png
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.images.files import find
from alae_tf.images.fit import DIGIT, PADDED_DIGIT, fit
from alae_tf.images.picture import lay_out, png, to_pixels
from alae_tf.images.read import read_image, reason
from alae_tf.system.arguments import Arguments, between, local, output
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, report
from alae_tf.system.files import write_atomic

from . import ExportError, ExportFailed
from .litert import TFLite, images_at_once

ABOUT = """\
Encodes images into w, or draws images from w (--decode). Images in a folder that the model cannot
use are reported and left out.

example: alae encode photos/ --model=encoder_float16.tflite --out=w.json
"""
MOST_THREADS = 256  # LiteRT crashes on very large numbers
BAR_FROM = 20  # images from which a progress bar is shown

# Ranks of input and output: images and w [N, latent] or styles [N, styles, latent].
RANKS = {"an encoder": {(4, 2), (4, 3)}, "a decoder": {(2, 4), (3, 4)}}


def load(path: Path, threads: int, wanted: str) -> TFLite:
    """Opens a .tflite file of one of the kinds in `RANKS`; raises ExportError."""
    if not path.is_file():
        problem = "is not a regular file" if path.exists() else "no such file"
        raise ExportError(f"--model={path}: {problem}.")
    try:
        model = TFLite(path, threads)
        ranks = len(model.input["shape"]), len(model.output["shape"])
    except (ValueError, RuntimeError, OSError, TypeError) as error:
        raise ExportError(f"--model={path}: is damaged or not a TFLite file ({error}).") from None
    if ranks not in RANKS[wanted]:
        raise ExportError(f"--model={path}: is not {wanted}; give {wanted.split()[1]}*.tflite.")
    return model


class Images:
    """Image files that the command line names, alone or by their folder, without those left out.

    Raises ImageError if a path is missing, a pipe or a device, or a folder without images.
    """

    def __init__(self, paths: list[Path]):
        self.files: list[Path] = []
        self._found: set[Path] = set()  # in folders; these may be left out
        for path in paths:
            found = find([path])
            self.files += found
            if path.is_dir():
                self._found.update(found)

    def leave_out(self, path: Path, error: ExportError) -> None:
        """Drops a file and reports why; raises the error if the user named it or it is the last."""
        if path not in self._found or len(set(self.files)) == 1:
            raise error
        self.files = [file for file in self.files if file != path]
        report("left out", str(error))


def read(path: Path) -> np.ndarray:
    """Reads an upright image: uint8 [H, W, 1] if it is grey, else [H, W, 3]; raises
    ExportFailed."""
    try:
        pixels = read_image(path, 3)
    except Exception as error:  # PIL's plug-ins raise errors of any type
        raise ExportFailed(f"{path}: cannot be read as an image ({reason(error)}).") from None
    return pixels if (pixels != pixels[..., :1]).any() else pixels[..., :1]


def encode(model: TFLite, images: Images) -> np.ndarray:
    """The code of the middle square of each image, fitted as in training: float32 [N, latent], or
    [N, styles, latent] from encoder_styles. Raises ExportFailed if an image that was named, or
    every image, cannot be read or encoded."""
    _, side, _, channels = model.input["shape"].tolist()
    parts, enlarged, files, step = [], 0, images.files, images_at_once(side)
    starts, few = range(0, len(files), step), len(files) < BAR_FROM
    for i in tqdm(starts, "encoding", unit="part", leave=False, disable=few):
        fitted = []
        for path in files[i : i + step]:
            try:
                pixels = read(path)
                height, width, found = pixels.shape
                if found > channels:
                    raise ExportFailed(f"{path}: is in colour; the model takes grey images.")
            except ExportFailed as error:
                images.leave_out(path, error)
                continue
            padded = height == width == DIGIT and side == PADDED_DIGIT
            enlarged += min(height, width) < side and not padded
            fitted.append(np.repeat(fit(pixels, side), channels // found, axis=2))
        if fitted:
            x = np.stack(fitted)
            x = x if model.input["dtype"] == np.uint8 else x.astype(np.float32) / 127.5 - 1.0
            parts.append(model(x))
    if enlarged:
        count = f"{enlarged:,} of {len(images.files):,}"
        report("encode", f"{count} images are smaller than {side} pixels and were enlarged.")
    w = np.concatenate(parts)
    if not np.isfinite(w).all():
        raise ExportFailed("--model: returned values that are not finite; its weights are damaged.")
    return w


def draw(model: TFLite, path: Path) -> np.ndarray:
    """Draws the codes in a file as one picture; raises ExportError."""
    shape = model.input["shape"].tolist()[1:]
    w = read_codes(path)
    w = w[np.newaxis] if w.ndim == len(shape) else w
    if list(w.shape[1:]) != shape:
        takes = ", ".join(map(str, ["N", *shape]))
        raise ExportError(f"{path}: has the shape {list(w.shape)}; the model takes [{takes}].")
    images = []
    for i, row in enumerate(w):
        (image,) = model(row[np.newaxis])
        if not np.isfinite(image).all():
            raise ExportError(f"{path}: code {i} is so large that its image is not finite.")
        images.append(to_pixels(image))
    return lay_out(np.stack(images))


def read_codes(path: Path) -> np.ndarray:
    """Reads the array of a .npy file, or the rows of a .json file of `write_codes`, as float32;
    raises ExportError."""
    try:
        if path.suffix == ".json":
            w = np.array(list(json.loads(path.read_bytes()).values()))
            if w.ndim not in (2, 3):
                raise ValueError("no codes by file name")
        else:  # mapped: a header that declares more than the file holds takes no memory
            w = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the parsers raise errors of many types
        why = "it holds Python objects" if "allow_pickle" in str(error) else reason(error)
        raise ExportError(f"{path}: cannot be read as a .npy or .json file ({why}).") from None
    if not isinstance(w, np.ndarray) or w.dtype.kind not in "fiu" or not w.size:
        raise ExportError(f"{path}: holds no array of numbers.")
    with np.errstate(over="ignore"):
        w = np.asarray(w, np.float32)
    if not np.isfinite(w).all():
        raise ExportError(f"{path}: holds values that are not finite, or too large for float32.")
    return w


def write_codes(path: Path | None, images: Images, w: np.ndarray) -> None:
    """Writes w as .npy, or as .json by file name, printed if there is no path."""
    if path and path.suffix == ".npy":
        write_atomic(path, lambda file: np.save(file, w))
        return
    text = json.dumps(dict(zip(map(str, images.files), w.tolist(), strict=True)))
    write_atomic(path, f"{text}\n".encode()) if path else print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag or file."""
    parser = Arguments(f"{__package__}.encode", ABOUT)
    parser.add_argument("images", nargs="*", type=local, help="image files or folders of them")
    about = ".npy or .json file of codes to draw, in place of images"
    parser.flag("--decode", about, "W.npy", type=local)
    about = "encoder*.tflite, or for --decode decoder*.tflite"
    parser.flag("--model", about, type=local, required=True)
    about = "file to write. For images: w.npy (float32 [N, latent]) or w.json (by file name). For "
    about += "--decode: a PNG of all images"
    absent = "JSON on standard output; for --decode, --out is required"
    parser.flag("--out", about, type=output(), absent=absent)
    known = between(1, MOST_THREADS)
    parser.flag("--threads", "CPU threads", "N", type=known, absent="the number of cores")
    args = parser.parse_args(arguments)
    if bool(args.images) == bool(args.decode):
        parser.error("give either images or --decode=W.npy.")
    if args.decode and not args.out:
        parser.error("--decode needs --out=PICTURE.png.")
    endings = (".png",) if args.decode else (".npy", ".json")
    if args.out and args.out.suffix not in endings:
        parser.error(f"--out={args.out}: must end in {' or '.join(endings)}.")
    threads = args.threads or os.cpu_count() or 1

    def run() -> None:
        if args.decode:
            model = load(args.model, threads, "a decoder")
            write_atomic(args.out, png(draw(model, args.decode)))
        else:
            images, model = Images(args.images), load(args.model, threads, "an encoder")
            write_codes(args.out, images, encode(model, images))

    return guarded("encode", run)


if __name__ == "__main__":
    sys.exit(start(main))
