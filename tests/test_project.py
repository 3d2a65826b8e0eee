"""What the project says of itself in several places is the same in all of them."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import alae_tf
from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_told_alike():
    assert f"\n## {alae_tf.__version__} " in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {alae_tf.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_constraints_hold_every_direct_dependency_at_a_version_that_it_allows():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    pinned = {canonicalize_name(name): version for name, version in (p.split("==") for p in pins)}
    direct = (ROOT / "requirements.txt").read_text().splitlines()
    for extra in ("dev", "export", "serving"):
        direct += PROJECT["optional-dependencies"][extra]
    for text in direct:
        wanted = Requirement(text.partition("#")[0].strip())
        if wanted.name != "alae-tf":
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), text


def test_images_are_built_of_files_that_are_there():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in sum(copied, []):
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored
