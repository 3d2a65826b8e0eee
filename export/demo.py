"""A page with the shipped models in it, served on this machine: no training, one command.

alae demo
alae demo --models=digits,runs/faces --out=page --port=8080
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from alae_tf.runs.directory import CONFIG, existing_run
from alae_tf.system.environment import start
from alae_tf.system.errors import AlaeError, guarded, program
from alae_tf.system.files import check_directory, move, replacements, write_atomic
from alae_tf.system.quiet import import_tensorflow
from alae_tf.system.shipped import folder

from . import publish, registry, web
from .formats import Options

MARK = ".alae-page.json"  # lists the files of a page that this command wrote, and may replace
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
    check_directory("--out", args.out, "a page", MARK, lambda name: name == ".lock")
    written_files(args.out)
    web.check_runtime(args.web_runtime)
    server = None if args.build else bind(args.out, args.port)
    import_tensorflow()
    registry.check_packages([web.FORMAT])
    with publish.hidden_folder(args.out) as folder:
        for run, name in zip(runs, names, strict=True):
            print(f"demo: {name} …", file=sys.stderr)
            write_model(run, folder)
        web.write_page(folder / "web", names, args.web_runtime)
        replace(args.out, folder)
    if server is None:
        print(f"demo: {args.out}/ is ready for any static web host.")
        return 0
    print(f"demo: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with server:
        server.serve_forever()
    return 0


def write_model(run: Path, folder: Path) -> None:
    """The files of one model, compared with Keras on images of its own."""
    from . import parity
    from .exporter import Exporter
    from .loading import load

    options = Options(run_dir=run)
    model, _ = load(run, None, None)
    work = Exporter(model, options, model.generate(IMAGES, psi=1.0), folder)
    (file,) = web.files(options)
    web.write_model(work, file)
    rows = parity.check(web.FORMAT, file, folder, work.reference)
    wrong = [row for row in rows if not row.holds]
    if wrong:
        raise AlaeError(f"{run}: {wrong[0].fault}.")


def written_files(out: Path) -> list[str]:
    """The files of the page in a folder, relative to it; none if it holds no page.

    Raises:
        AlaeError: the list is damaged.
    """
    try:
        files = json.loads((out / MARK).read_text(encoding="utf-8"))["files"]
        if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
            raise ValueError("no list of names")
    except FileNotFoundError:
        return []
    except (ValueError, LookupError, TypeError, RecursionError):
        raise AlaeError(f"--out={out}: {MARK} is damaged; give another folder.") from None
    return files


def replace(out: Path, folder: Path) -> None:
    """Moves a page that is complete, `folder`/web, into `out`, in place of the page there.

    Raises:
        AlaeError: something else has the name of one of its files; nothing was replaced.
        OSError: a file cannot be renamed; all are as they were.
    """
    page, old = folder / "web", written_files(out)
    new = [str(path.relative_to(page)) for path in page.rglob("*") if path.is_file()]
    moves = replacements(page, new, out, old, folder / "old")
    _mark(out, {*old, *new})  # a kill between the two leaves no file that is not listed
    move(moves)
    _mark(out, new)


def _mark(out: Path, files: Iterable[str]) -> None:
    write_atomic(out / MARK, json.dumps({"files": sorted(files)}, indent=1).encode())


def bind(folder: Path, port: int) -> Server:
    """A server of a folder's files on this machine alone.

    Raises:
        AlaeError: the port is taken.
    """
    handler = functools.partial(Quiet, directory=str(folder))
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise AlaeError(f"--port={port}: {error.strerror}; give another, or 0.") from None


class Server(http.server.ThreadingHTTPServer):
    """Without a traceback for a visitor who left before the answer was complete."""

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files without a line of log for each, and never one from the browser's cache."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".wasm": "application/wasm",
        ".js": "text/javascript",
    }

    def send_head(self):
        try:
            return super().send_head()
        except ValueError:  # the path holds what no file name can: NUL, or half a surrogate pair
            self.send_error(http.HTTPStatus.BAD_REQUEST)
            return None

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(start(main))
