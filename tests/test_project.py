"""Facts that the project states in several places agree."""

import ast
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import alae_tf
from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_same_everywhere():
    assert f"\n## {alae_tf.__version__} " in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {alae_tf.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_constraints_pin_every_direct_dependency_at_an_allowed_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    pinned = {canonicalize_name(name): version for name, version in (p.split("==") for p in pins)}
    direct = (ROOT / "requirements.txt").read_text().splitlines()
    for extra in ("dev", "docs", "export", "serving"):
        direct += PROJECT["optional-dependencies"][extra]
    for text in direct:
        wanted = Requirement(text.partition("#")[0].strip())
        if wanted.name != "alae-tf":
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), text


def test_the_dockerfile_copies_existing_files():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in sum(copied, []):
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored


def test_texts_are_opened_with_an_encoding():
    """Python's default depends on the locale."""
    for path in (path for name in ("alae_tf", "export") for path in (ROOT / name).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call):
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                is_binary = len(call.args) > 1 and "b" in str(getattr(call.args[1], "value", ""))
                opens = name == "open" and isinstance(call.func, ast.Name) and not is_binary
                if opens or name in ("read_text", "write_text"):
                    assert "encoding" in {word.arg for word in call.keywords}, (path, call.lineno)
