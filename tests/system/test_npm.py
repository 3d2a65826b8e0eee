import base64
import hashlib
import importlib.util
import io
import subprocess
import tarfile

import pytest

from alae_tf.system import npm

FILES = {"model/a.bin": "a.bin", "dist/index.js": "js/index.js"}


@pytest.fixture
def archive(monkeypatch):
    """A package's archive, in place of npm's answer; and its record."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name in (*FILES, "README.md"):
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(name)
            file.addfile(info, io.BytesIO(name.encode()))
    data = buffer.getvalue()
    monkeypatch.setattr(npm, "pack", lambda name, scratch: data)
    checksum = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    return npm.Package("@some/thing@1.2.3", checksum, FILES)


def test_the_named_files_and_no_others(archive, tmp_path):
    npm.fetch((archive,), tmp_path / "cache" / "thing")
    found = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    assert set(found) == {"cache/thing/a.bin", "cache/thing/js/index.js"}
    assert found["cache/thing/a.bin"].read_text() == "model/a.bin"


def test_another_archive_is_refused(archive, tmp_path):
    other = archive._replace(checksum="sha512-AAAA")
    with pytest.raises(npm.NpmError, match="@some/thing@1.2.3.*sha512-AAAA") as error:
        npm.fetch((other,), tmp_path / "cache")
    assert error.value.exit_code == 2
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_without_npm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert npm.command() == []
    with pytest.raises(npm.NpmError, match="npm.*@some/thing@1"):
        npm.pack("@some/thing@1", tmp_path)


def test_npm_fails(tmp_path, monkeypatch):
    def run(command, **options):
        assert command[:2] == ["npm", "pack"] and command[-1] == "@some/thing@1"
        return subprocess.CompletedProcess(command, 1, "", "npm error code ENOTFOUND\nmore\n")

    monkeypatch.setattr(npm, "command", lambda: ["npm"])
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(npm.NpmError, match="@some/thing@1.*ENOTFOUND"):
        npm.pack("@some/thing@1", tmp_path)
