"""Writes a web page with the shipped models and serves it on this machine.

alae demo
alae demo --models=digits,runs/faces --out=page --port=8080
"""

import functools
import http.server
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from alae_tf.runs import directory
from alae_tf.runs.directory import chosen_checkpoint, existing_run
from alae_tf.system import schema
from alae_tf.system.arguments import Arguments, between, local
from alae_tf.system.environment import start
from alae_tf.system.errors import AlaeError, guarded, report
from alae_tf.system.files import move, replacements, sha256, unchanged, write_atomic
from alae_tf.system.quiet import import_tensorflow
from alae_tf.system.shipped import folder

from . import publish, registry, web
from .formats import Options

MARK = ".alae-page.json"  # lists the files of a page that this command wrote and may replace
PART = r"(?!\.{1,2}(?:/|$))[^/]+"  # of a path; not . or .., which would lead elsewhere
LISTED = re.compile(rf"(?:model|runtime)(?:/{PART})+|[^/.][^/]*\.(?:html|js|css|json)")
IMAGES = 6  # generated images on which files are compared with Keras


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag."""
    parser = Arguments(f"{__package__}.demo", __doc__)
    shipped = sorted(path.parent.name for path in folder("models").glob(f"*/{directory.CONFIG}"))
    about = "names of shipped models or run directories, separated by commas"
    parser.flag("--models", about, "NAME,…", default=",".join(shipped))
    parser.flag("--checkpoint", directory.CHECKPOINT, directory.NEWEST_OR_BEST, default="newest")
    parser.flag("--out", "folder for the page", "DIR", type=local, default=Path("demo"))
    about = "port, or 0 for any free one"
    parser.flag("--port", about, "N", type=between(0, 65535), default=8000)
    parser.flag("--web_runtime", "see `alae export`", "DIR|cdn|URL", absent="from npm")
    parser.switch("--build", "only write the folder, do not serve it")
    args = parser.parse_args(arguments)
    return guarded("demo", lambda: run(**vars(args)))


def run(
    models: str, checkpoint: str, out: Path, port: int, web_runtime: str | None, build: bool
) -> None:
    """Writes the page, and serves it until Ctrl-C unless `build`; see --help."""
    runs = [existing_run(name, "--models") for name in models.split(",") if name]
    for path in runs:
        chosen_checkpoint(path, checkpoint)
        web.about(path)
    names = [web.name_of(run) for run in runs]
    if not names or len(set(names)) < len(names):
        how = "give different names, for example digits,faces64"
        raise AlaeError(f"--models={models}: {how}.")
    publish.check_out(out, "page", MARK)
    written_files(out)
    web.check_runtime(web_runtime)
    server = None if build else bind(out, port)
    import_tensorflow()
    registry.check_packages([web.FORMAT])
    with publish.hidden_folder(out) as scratch:
        for each, name in zip(runs, names, strict=True):
            report("demo", f"exporting {name}.")
            write_model(each, scratch, checkpoint)
        web.write_page(scratch / "web", names, web_runtime)
        replace(out, scratch)
    if server is None:
        print(f"demo: {out}/ is ready for any static web host.")
        return
    print(f"demo: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with server:
        server.serve_forever()


def write_model(run: Path, folder: Path, checkpoint: str) -> None:
    """Writes the files of a model, compared with Keras on images that it generates."""
    from . import parity
    from .exporter import Exporter
    from .loading import load

    options = Options(run_dir=run, checkpoint=checkpoint)
    model, _ = load(options)
    work = Exporter(model, options, model.generate(IMAGES, psi=1.0), folder)
    (file,) = web.files(options)
    web.write_model(work, file)
    rows = parity.check(web.FORMAT, file, folder, work.reference)
    for row in rows:
        if not row.holds:
            raise AlaeError(f"{run}: {row.fault}.")


def written_files(out: Path) -> dict[str, list[str]]:
    """The files of the page in a folder: their names relative to it → their SHA-256, or two of them
    if a process was killed while it replaced the page; {} if the folder has no page.

    Raises AlaeError if the list of files is damaged, or if a file was changed since it was written.
    """
    try:
        files = schema.load(out / MARK, {"files": {str: [str]}})["files"]
        for name in files:
            if not LISTED.fullmatch(name):
                raise ValueError(f"{name!r} is not a file of a page")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        how = "delete the page, or give another folder"
        raise AlaeError(f"--out={out}: {MARK} is damaged ({error}); {how}.") from None
    for name in sorted(files.keys() - unchanged(out, files)):
        if os.path.lexists(out / name):
            how = "move it away, or give another folder"
            raise AlaeError(f"--out={out}: {name} was changed since it was written; {how}.")
    return files


def replace(out: Path, folder: Path) -> None:
    """Replaces the page in `out` by the one in `folder`/web, all of it or nothing."""
    page, old = folder / "web", written_files(out)
    new = {str(path.relative_to(page)): [sha256(path)] for path in publish.all_files(page)}

    def mark(files: Mapping[str, list[str]]) -> None:
        write_atomic(out / MARK, json.dumps({"files": files}, indent=1, sort_keys=True).encode())

    moves = replacements(page, new, out, old, folder / "old")
    # If the process is killed, every file is listed, as it was or as it will be.
    mark({name: [*old.get(name, []), *new.get(name, [])] for name in {*old, *new}})
    move(moves)
    mark(new)


class Server(http.server.ThreadingHTTPServer):
    """A server without tracebacks for visitors who disconnect early."""

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A handler without a log, whose files browsers do not cache."""

    def send_head(self):
        try:
            return super().send_head()
        except ValueError:  # a path that no file can have: with NUL or half a surrogate pair
            self.send_error(http.HTTPStatus.BAD_REQUEST)
            return None

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def bind(folder: Path, port: int) -> Server:
    """A server of a folder for this machine only; raises AlaeError if the port is taken."""
    handler = functools.partial(Quiet, directory=str(folder))
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise AlaeError(f"--port={port}: {error.strerror}; give another port, or 0.") from None


if __name__ == "__main__":
    sys.exit(start(main))
