"""A page with the shipped models in it, served on this machine: no training, one command.

alae demo
alae demo --models=digits,runs/faces --out=page --port=8080
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import sys
import tempfile
from pathlib import Path

from alae_tf.environment import start
from alae_tf.errors import AlaeError, guarded, program
from alae_tf.quiet import import_tensorflow
from alae_tf.runs.directory import CONFIG, existing_run
from alae_tf.shipped import folder

from . import web

IMAGES = 6  # of the model's own, on which its files are compared with Keras


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program(f"{__package__}.demo"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    shipped_ones = sorted(path.parent.name for path in folder("models").glob(f"*/{CONFIG}"))
    models = ",".join(shipped_ones)
    add("--models", default=models, help="shipped ones, or runs. Default: %(default)s")
    add("--out", type=Path, default=Path("demo"), help="the page's folder. Default: %(default)s")
    add("--port", type=int, default=8000, help="0: any that is free. Default: %(default)s")
    add("--web_runtime", metavar="DIR", help="as of alae_tf.export; default: from npm")
    add("--build", action="store_true", help="write the folder, and do not serve it")
    args = parser.parse_args(arguments)
    if not 0 <= args.port <= 65535:
        parser.error(f"--port={args.port}: must be 0 to 65535.")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag."""
    args = parse(arguments)
    return guarded("demo", lambda: work(args))


def work(args: argparse.Namespace) -> int:
    """Writes the page, and serves it until Ctrl-C."""
    runs = [existing_run(name, "--models") for name in args.models.split(",") if name]
    names = [web.name_of(run) for run in runs]
    if not names or len(set(names)) < len(names):
        raise AlaeError(f"--models={args.models}: give different names, as digits,faces64.")
    if args.out.exists() and not (args.out / "models.json").is_file():
        raise AlaeError(f"--out={args.out}: is there, and no page; give another folder.")
    web.check_runtime(args.web_runtime)
    server = None if args.build else bind(args.out, args.port)
    import_tensorflow()
    from .exporter import check_packages

    check_packages(["web"])
    args.out.resolve().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.resolve().parent) as scratch:
        for run, name in zip(runs, names, strict=True):
            print(f"demo: {name} …", file=sys.stderr)
            write_model(run, Path(scratch), name)
        web.write_page(Path(scratch) / "web", names, args.web_runtime)
        shutil.rmtree(args.out, ignore_errors=True)
        (Path(scratch) / "web").rename(args.out)
    if server is None:
        print(f"demo: {args.out}/ is ready for any static web host.")
        return 0
    print(f"demo: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with server:
        server.serve_forever()
    return 0


def write_model(run: Path, folder: Path, name: str) -> None:
    """The files of one model, compared with Keras on images of its own."""
    from .exporter import Exporter
    from .loading import load

    model, weights = load(run, None, None)
    args = argparse.Namespace(run_dir=run, directions=None, max_int8_error=0.1)
    exporter = Exporter(model, weights, args, model.generate(IMAGES, psi=1.0), folder)
    wrong = [row for row in exporter.web_model(name) if not row.holds]
    if wrong:
        raise AlaeError(f"{run}: {wrong[0].fault}.")


def bind(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of a folder's files on this machine alone.

    Raises:
        AlaeError: the port is taken.
    """
    handler = functools.partial(Quiet, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise AlaeError(f"--port={port}: {error.strerror}; give another, or 0.") from None


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files without a line for each, and never an old one from the browser's memory."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".wasm": "application/wasm",
        ".js": "text/javascript",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(start(main))
