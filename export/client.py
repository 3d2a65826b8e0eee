"""Talks to a served model, over REST or gRPC: images in, codes or pictures out.

alae client --url=http://localhost:8501 encode photo.png --out=w.npy
alae client --url=grpc://localhost:8500 generate --count=16 --out=new.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from alae_tf.images.picture import lay_out, png
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, program

from . import ExportError, ExportFailed
from .encode import Images, is_colour, read_codes, read_colour, write, write_codes
from .servers import MOST_LATENT, PATIENCE, Grpc, Rest, ServerError, checked


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program(f"{__package__}.client"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="http[s]://host:8501 or grpc://host:8500")
    parser.add_argument("--model", default="alae", help="its name there; default: %(default)s")
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        help="seconds a request may take, until its answer is whole; default: %(default)s",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help="seconds in which a server that is away, as while it starts again, is asked again; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--batch", type=int, default=8, help="images a request; TF Serving as set up here takes 16"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_, out in (
        ("encode", "images → w", "W.npy|W.json"),
        ("reconstruct", "images → their reconstructions", "PICTURE.png"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("images", nargs="+", type=Path, help="image files or folders")
        command.add_argument("--out", type=Path, required=True, metavar=out)
    command = commands.add_parser("decode", help="w → pictures")
    command.add_argument(
        "w", type=Path, help="a .npy file: [N, latent] or [N, styles, latent]; or a .json of encode"
    )
    command.add_argument("--out", type=Path, required=True, metavar="PICTURE.png")
    command = commands.add_parser("generate", help="new pictures")
    command.add_argument("--count", type=int, default=1)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--psi", type=float, default=0.7, help="truncation; 1 for none")
    command.add_argument("--latent_size", type=int, help="default: the server is asked")
    command.add_argument("--out", type=Path, required=True, metavar="PICTURE.png")
    args = parser.parse_args(arguments)
    try:
        scheme, address = urlsplit(args.url)[:2]
    except ValueError:
        scheme = address = ""
    if scheme not in ("http", "https", "grpc") or not address:
        parser.error(f"--url={args.url}: must be http[s]://host:port or grpc://host:port.")
    endings = (".npy", ".json") if args.command == "encode" else (".png",)
    if args.out.suffix not in endings:
        parser.error(f"--out={args.out}: must end in {' or '.join(endings)}.")
    if not args.out.resolve().parent.is_dir():
        parser.error(f"--out={args.out}: its directory does not exist.")
    limits = {
        "timeout": (1e-3, 86_400),
        "patience": (0, 86_400),
        "batch": (1, 1024),
        "count": (1, 10_000),
        "latent_size": (1, MOST_LATENT),
        "seed": (0, 2**63 - 1),
        "psi": (-100, 100),
    }
    for name, (least, most) in limits.items():
        value = getattr(args, name, None)
        if value is not None and not least <= value <= most:
            parser.error(f"--{name}={value}: must be {least:,} to {most:,}.")
    return args


def read(path: Path) -> bytes:
    """An image file of any kind as an upright PNG, grey if it is grey.

    Raises:
        ExportFailed: it cannot be read.
    """
    pixels = read_colour(path)
    return png(pixels if is_colour(pixels) else pixels[..., :1])


class Client:
    """What the commands ask of a server, in requests of some images each.

    Args:
        server: `Rest` or `Grpc`.
        batch: images a request.
    """

    def __init__(self, server: Rest | Grpc, batch: int):
        self.server, self.batch = server, batch

    def encode(self, images: Images) -> np.ndarray:
        """w of each image: float32 [N, latent]; files are read request by request.

        Raises:
            ExportFailed: the server fails, or one of them, or every one, cannot be taken.
        """
        parts = []
        for files in self._progress(images.files, "encode_bytes"):
            pngs = {}
            for path in files:
                try:
                    pngs[path] = read(path)
                except ExportFailed as error:
                    images.leave_out(path, error)
            parts += self._encode([path for path in files if path in pngs], pngs, images)
        return joined(parts, self.server.url).astype(np.float32)

    def _encode(self, files: list[Path], pngs: dict[Path, bytes], images: Images) -> list:
        """w of some images; if the server refuses them, of those of them that it takes."""
        if not files:
            return []
        data = np.array([pngs[path] for path in files], object)
        try:
            return [self._ask("encode_bytes", "w", image_bytes=data)]
        except ServerError as error:
            if not error.refused:
                raise
            if len(files) > 1:
                return [w for path in files for w in self._encode([path], pngs, images)]
            images.leave_out(files[0], ServerError(f"{files[0]}: {error}"))
            return []

    def pixels(self, signature: str, **inputs: np.ndarray) -> np.ndarray:
        """The pictures that a signature draws: uint8 [N, H, W, 1 or 3]."""
        rows = list(range(len(next(iter(inputs.values())))))
        parts = [
            self._ask(signature, "pixels", **{name: x[part] for name, x in inputs.items()})
            for part in self._progress(rows, signature)
        ]
        return joined(parts, self.server.url)

    def _progress(self, things: list, label: str):
        from tqdm import tqdm

        parts = [things[i : i + self.batch] for i in range(0, len(things), self.batch)]
        return tqdm(parts, label, unit="request", leave=False, delay=1)

    def _ask(self, signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        """One output of one request, checked: w [n, latent] or uint8 pixels [n, H, W, C]."""
        url, count = self.server.url, len(next(iter(inputs.values())))
        answer = self.server.predict(signature, inputs)
        value = checked(answer, output, 2 if output == "w" else 4, url, signature)
        if len(value) != count:
            raise ServerError(f"{url}: {len(value)} answers to {count} inputs.")
        if output == "w":
            return value
        if value.shape[-1] not in (1, 3):
            raise ServerError(f"{url}: pictures of {value.shape[-1]} channels, not of 1 or 3.")
        if not ((value >= 0) & (value <= 255) & (value == np.rint(value))).all():
            raise ServerError(f"{url}: {signature} gives pixels that are not 0 to 255.")
        return value.astype(np.uint8)


def joined(parts: list[np.ndarray], url: str) -> np.ndarray:
    """The answers to all requests.

    Raises:
        ServerError: they differ in shape.
    """
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise ServerError(f"{url}: its answers differ in shape: {sorted(shapes)}.")
    return np.concatenate(parts)


def run(args: argparse.Namespace) -> None:
    """One command."""
    protocol = Grpc if args.url.startswith("grpc:") else Rest
    server = protocol(args.url, args.model, args.timeout, args.patience)
    client = Client(server, args.batch)
    if args.command == "encode":
        images = Images(args.images)
        write_codes(args.out, images, client.encode(images))
        return
    if args.command == "generate":
        shape = args.count, args.latent_size or server.latent_size()
        z = np.random.default_rng(args.seed).standard_normal(shape, np.float32)
        psi = np.full(args.count, args.psi, np.float32)
        pixels = client.pixels("generate", z=z, psi=psi)
    elif args.command == "decode":
        w = read_codes(args.w)
        if w.ndim not in (2, 3):
            raise ExportError(f"{args.w}: {list(w.shape)}, expected [N, latent] or [N, styles, …].")
        pixels = client.pixels("decode", w=w)
    else:
        pixels = client.pixels("decode", w=client.encode(Images(args.images)))
    write(args.out, png(lay_out(pixels)))


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the server or an image is at fault, 2 a wrong flag or file."""
    args = parse(arguments)
    return guarded("client", lambda: run(args))


if __name__ == "__main__":
    sys.exit(start(main))
