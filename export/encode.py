"""Encodes photos and decodes codes on a device: LiteRT, NumPy and Pillow, no TensorFlow.

python -m export.encode photo.png --model=encoder.tflite --out=w.npy
python -m export.encode --decode w.npy --model=decoder.tflite --out=picture.png
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from alae_tf.errors import guarded
from alae_tf.images.fit import fit
from alae_tf.images.read import read_image
from export import ExportError
from export.runtimes import TFLite

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
BATCH = 16
MOST_THREADS = 256  # LiteRT crashes on absurd numbers
BAR_FROM = 20  # images for which a progress bar is worth its place


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m export.encode",
        description="Encodes images into w, or with --decode draws images from w.",
        epilog="Example: python -m export.encode photos/ --model=encoder_float16.tflite "
        "--out=w.json",
    )
    parser.add_argument("images", nargs="*", type=Path, help="image files or folders of them")
    parser.add_argument("--decode", type=Path, metavar="W.npy", help="draw these codes instead")
    parser.add_argument(
        "--model", type=Path, required=True, help="encoder*.tflite; to decode: decoder*.tflite"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="w.npy (float32 [N, latent]) or w.json (a list by file name); default: JSON on the "
        "screen. With --decode: the picture, a PNG (several images side by side)",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    args = parser.parse_args(arguments)
    if bool(args.images) == bool(args.decode):
        parser.error("give either images to encode or --decode=W.npy.")
    endings = (".png",) if args.decode else (".npy", ".json")
    if args.decode and not args.out:
        parser.error("--decode needs --out=PICTURE.png.")
    if args.out and args.out.suffix not in endings:
        parser.error(f"--out={args.out}: must end in {' or '.join(endings)}.")
    if args.out and not args.out.resolve().parent.is_dir():
        parser.error(f"--out={args.out}: its directory does not exist.")
    if not 1 <= args.threads <= MOST_THREADS:
        parser.error(f"--threads={args.threads}: must be 1 to {MOST_THREADS}.")
    return args


def load(path: Path, threads: int, rank_in: int, rank_out: int, wanted: str) -> TFLite:
    """A .tflite file of the right kind.

    Raises:
        ExportError: no such file, a damaged one, or an encoder where a decoder is wanted.
    """
    if not path.is_file():
        raise ExportError(f"--model={path}: no such file.")
    try:
        model = TFLite(path, threads)
        ranks = len(model.input["shape"]), len(model.output["shape"])
        model.interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError, TypeError) as error:
        raise ExportError(f"--model={path}: not a whole TFLite file ({error}).") from None
    if ranks != (rank_in, rank_out):
        kind = {(4, 2): "an encoder", (2, 4): "a decoder"}.get(ranks, "something else")
        raise ExportError(f"--model={path}: is {kind}; give {wanted}.")
    return model


def find(paths: list[Path]) -> list[Path]:
    """The image files, and those of the folders, sorted.

    Raises:
        ExportError: a path that is not there, or a folder without images.
    """
    files = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            inside = sorted(p for p in inside if p.is_file())
            if not inside:
                raise ExportError(f"{path}: no image in it ({', '.join(EXTENSIONS)}).")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise ExportError(f"{path}: no such file or folder.")
    return files


def read(path: Path, side: int, channels: int) -> np.ndarray:
    """One image, upright, its middle square fitted as in training: uint8 [side, side, channels].

    Raises:
        ExportError: it cannot be read, or is in colour where the model takes grey.
    """
    try:
        pixels = read_image(path, 3)
    except Exception as error:  # PIL's plug-ins raise whatever their parser stumbles over
        raise ExportError(f"{path}: cannot be read as an image ({error}).") from None
    if channels == 1:
        if np.ptp(pixels, axis=-1).any():
            raise ExportError(f"{path}: is in colour; this model takes grey images (1 channel).")
        pixels = pixels[..., :1]
    return fit(pixels, side)


def encode(model: TFLite, files: list[Path]) -> np.ndarray:
    """w of each file: float32 [N, latent]."""
    _, side, _, channels = model.input["shape"]
    parts = []
    for start in _progress(range(0, len(files), BATCH), len(files)):
        x = np.stack([read(path, side, channels) for path in files[start : start + BATCH]])
        if model.input["dtype"] != np.uint8:
            x = x.astype(np.float32) / 127.5 - 1.0
        parts.append(model(x))
    return np.concatenate(parts)


def _progress(starts: range, images: int) -> Iterator[int]:
    if images < BAR_FROM:
        return iter(starts)
    from tqdm import tqdm

    return iter(tqdm(starts, "encoding", unit="batch", leave=False))


def grid(pixels: np.ndarray) -> Image.Image:
    """uint8 [N, H, W, C] → one picture, the images side by side in a square."""
    across = math.ceil(math.sqrt(len(pixels)))
    pixels = np.pad(pixels, [(0, -len(pixels) % across), (0, 0), (0, 0), (0, 0)])
    n, height, width, channels = pixels.shape
    rows = pixels.reshape(n // across, across, height, width, channels).swapaxes(1, 2)
    rows = rows.reshape(n // across * height, across * width, channels)
    return Image.fromarray(rows[..., 0] if channels == 1 else rows)


def draw(model: TFLite, path: Path) -> Image.Image:
    """The images of the codes in a .npy file, as one picture.

    Raises:
        ExportError: no such file, or not codes of this model.
    """
    latent = model.input["shape"][1]
    w = np.atleast_2d(read_codes(path))
    if w.ndim != 2 or w.shape[1] != latent:
        raise ExportError(f"{path}: has the shape {list(w.shape)}, this model takes [N, {latent}].")
    images = np.concatenate([model(row[np.newaxis]) for row in w])
    return grid(np.rint(np.clip(images * 127.5 + 127.5, 0, 255)).astype(np.uint8))


def read_codes(path: Path) -> np.ndarray:
    """The float32 array of a .npy file.

    Raises:
        ExportError: no such file, not a .npy file of numbers, none in it, or not all finite.
    """
    try:
        w = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ExportError(f"{path}: cannot be read as a .npy file ({error}).") from None
    if not isinstance(w, np.ndarray) or w.dtype.kind not in "fiu" or not w.size:
        raise ExportError(f"{path}: holds no array of numbers.")
    if not np.isfinite(w).all():
        raise ExportError(f"{path}: holds values that are not finite.")
    return w.astype(np.float32)


def write(path: Path, save) -> None:
    """Calls save(file) on a file beside, then renames it."""
    beside = path.with_name(f".{path.name}.partial")
    try:
        with open(beside, "wb") as file:
            save(file)
        os.replace(beside, path)
    except OSError as error:
        raise ExportError(f"--out={path}: {error.strerror}.") from None
    finally:
        beside.unlink(missing_ok=True)


def run(args: argparse.Namespace) -> None:
    """Encodes or decodes."""
    if args.decode:
        model = load(args.model, args.threads, 2, 4, "decoder*.tflite")
        picture = draw(model, args.decode)
        write(args.out, lambda file: picture.save(file, "PNG"))
        return
    files = find(args.images)
    w = encode(load(args.model, args.threads, 4, 2, "encoder*.tflite"), files)
    if args.out and args.out.suffix == ".npy":
        write(args.out, lambda file: np.save(file, w))
        return
    text = json.dumps(dict(zip(map(str, files), w.tolist(), strict=True)))
    if args.out:
        write(args.out, lambda file: file.write(f"{text}\n".encode()))
    else:
        print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a file is at fault, 2 a wrong flag."""
    args = parse(arguments)
    return guarded("encode", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
