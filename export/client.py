"""Sends images or codes to a served model over REST or gRPC, and writes its answers.

alae client --url=http://localhost:8501 encode photo.png --out=w.npy
alae client --url=grpc://localhost:8500 generate --count=16 --out=new.png
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.images.picture import lay_out, png
from alae_tf.system.arguments import Arguments, between, local, output
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded
from alae_tf.system.files import write_atomic

from . import ExportError, ExportFailed, servers
from . import encode as device
from .encode import Images
from .servers import ServerError, checked

RANKS = {"w": 2, "styles": 3, "pixels": 4}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Arguments(f"{__package__}.client", __doc__)
    servers.add_flags(parser)
    about = "images per request; TF Serving as exported takes up to 16"
    parser.flag("--batch", about, "N", type=between(1, 1024), default=8)
    commands = parser.add_subparsers(
        dest="command", required=True, parser_class=argparse.ArgumentParser
    )
    written = "file to write. Required"
    picture = {"type": output(".png"), "metavar": "PICTURE.png", "help": written}
    codes = {"type": output(".npy", ".json"), "metavar": "W.npy|W.json", "help": written}
    for name, about, out in (
        ("encode", "images → w", codes),
        ("reconstruct", "images → their reconstructions", picture),
        ("decode", "w → pictures", picture),
        ("generate", "new pictures", picture),
    ):
        add = commands.add_parser(name, help=about).add_argument
        if name in ("encode", "reconstruct"):
            add("images", nargs="+", type=local, help="image files or folders of them")
            about = "use a code for each layer of G instead of one w, for models with "
            about += "--encoder_codes=layers. Default: one w"
            add("--layers", action="store_true", help=about)
        elif name == "decode":
            about = ".npy file of codes [N, latent] or [N, styles, latent], or .json file of encode"
            add("w", type=local, help=about)
        else:
            default = "Default: %(default)s"
            about = f"number of pictures. {default}"
            add("--count", type=between(1, 10_000), default=1, help=about)
            add("--seed", type=between(0, 2**63 - 1), default=0, help=f"seed of z. {default}")
            about = f"truncation psi; 1: no truncation. {default}"
            add("--psi", type=between(-100, 100, float), default=0.7, help=about)
            about = "length of z. Default: as the server reports"
            add("--latent_size", type=between(1, servers.MOST_LATENT), help=about)
        add("--out", required=True, **out)
    return parser.parse_args(arguments)


def read(path: Path) -> bytes:
    """Reads an image file as an upright PNG, which is grey if the image is; raises ExportFailed."""
    return png(device.read(path))


class Client:
    """Sends images and codes to a server, `batch` in a request."""

    def __init__(self, server: servers.Server, batch: int):
        self.server, self.batch = server, batch

    def encode(self, images: Images, layers: bool = False) -> np.ndarray:
        """w of each image, float32 [N, latent], or with `layers` its code for each layer of G,
        [N, styles, latent]; files are read request by request.

        Raises ExportFailed if the server fails, or if an image that was named, or every image,
        cannot be read or is refused.
        """
        parts = []
        # A signature and its output.
        graph = ("encode_styles_bytes", "styles") if layers else ("encode_bytes", "w")
        for files in self._progress(images.files, graph[0]):
            pngs = []
            for path in files:
                try:
                    pngs.append((path, read(path)))
                except ExportFailed as error:
                    images.leave_out(path, error)
            parts += self._encode(pngs, images, graph)
        return joined(parts, self.server.url).astype(np.float32)

    def _encode(
        self, pngs: list[tuple[Path, bytes]], images: Images, graph: tuple[str, str]
    ) -> list[np.ndarray]:
        """Codes of some images by a signature and its output, without those that the server
        refuses."""
        if not pngs:
            return []
        try:
            data = np.array([file for _, file in pngs], object)
            return [self._ask(*graph, image_bytes=data)]
        except ServerError as error:
            if not error.refused:
                raise
            if len(pngs) > 1:
                return [w for each in pngs for w in self._encode([each], images, graph)]
            ((path, _),) = pngs
            images.leave_out(path, ServerError(f"{path}: {error}"))
            return []

    def pixels(self, signature: str, **inputs: np.ndarray) -> np.ndarray:
        """The pictures that a signature returns: uint8 [N, H, W, 1 or 3]."""
        rows = list(range(len(next(iter(inputs.values())))))
        parts = [
            self._ask(signature, "pixels", **{name: x[part] for name, x in inputs.items()})
            for part in self._progress(rows, signature)
        ]
        return joined(parts, self.server.url)

    def _progress(self, things: list, label: str):
        parts = [things[i : i + self.batch] for i in range(0, len(things), self.batch)]
        return tqdm(parts, label, unit="request", leave=False, delay=1)

    def _ask(self, signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        """One output of one request, checked: w [n, latent], styles [n, styles, latent] or uint8
        pixels [n, H, W, C]."""
        url, count = self.server.url, len(next(iter(inputs.values())))
        answer = self.server.predict(signature, inputs)
        value = checked(answer, output, RANKS[output], url, signature)
        if len(value) != count:
            raise ServerError(f"{url}: returned {len(value)} answers for {count} inputs.")
        if output != "pixels":
            return value
        if value.shape[-1] not in (1, 3):
            raise ServerError(f"{url}: returned {value.shape[-1]} channels, expected 1 or 3.")
        if not ((value >= 0) & (value <= 255) & (value == np.rint(value))).all():
            raise ServerError(f"{url}: {signature} returned pixels outside 0 to 255.")
        return value.astype(np.uint8)


def joined(parts: list[np.ndarray], url: str) -> np.ndarray:
    """Concatenates the answers to all requests; raises ServerError if their shapes differ."""
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise ServerError(f"{url}: the answers differ in shape: {sorted(shapes)}.")
    return np.concatenate(parts)


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the server or an image is at fault, 2 a wrong flag or file."""
    args = parse(arguments)

    def run() -> None:
        server = servers.connect(args.url, args.model, args.timeout, args.patience)
        client = Client(server, args.batch)
        if args.command == "encode":
            images = Images(args.images)
            device.write_codes(args.out, images, client.encode(images, args.layers))
            return
        if args.command == "generate":
            shape = args.count, args.latent_size or servers.latent_size(server)
            z = np.random.default_rng(args.seed).standard_normal(shape, np.float32)
            psi = np.full(args.count, args.psi, np.float32)
            pixels = client.pixels("generate", z=z, psi=psi)
        elif args.command == "decode":
            w = device.read_codes(args.w)
            if w.ndim not in (2, 3):
                shape = "[N, latent] or [N, styles, latent]"
                raise ExportError(f"{args.w}: {list(w.shape)}, expected {shape}.")
            pixels = client.pixels("decode", w=w)
        else:
            pixels = client.pixels("decode", w=client.encode(Images(args.images), args.layers))
        write_atomic(args.out, png(lay_out(pixels)))

    return guarded("client", run)


if __name__ == "__main__":
    sys.exit(start(main))
