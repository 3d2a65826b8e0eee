"""A server of S3 for all tests of this folder, with an empty folder in a bucket for each test."""

import itertools

import pytest

from tests.helpers import s3_server

numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_port():
    """The port of moto's server, which has one bucket."""
    s3fs = pytest.importorskip("s3fs", reason="the extra cloud is not installed")
    pytest.importorskip("moto", reason="moto, of the extra dev, is not installed")
    with s3_server.running() as port, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment(port).items():
            patch.setenv(name, value)
        s3fs.S3FileSystem(use_listings_cache=False).mkdir(s3_server.BUCKET)
        s3fs.S3FileSystem.clear_instance_cache()
        yield port


@pytest.fixture
def cloud(s3_port, monkeypatch, tmp_path):
    """Environment of a machine with an empty cache; the URL of an empty folder."""
    import s3fs

    for name, value in s3_server.environment(s3_port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALAE_TF_LEASE_SECONDS", "1.5")
    s3fs.S3FileSystem.clear_instance_cache()
    return f"s3://{s3_server.BUCKET}/{next(numbers)}"


@pytest.fixture
def proxy(cloud, s3_port, monkeypatch):
    """A proxy with faults before the server."""
    import s3fs

    proxy = s3_server.Proxy(s3_port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    s3fs.S3FileSystem.clear_instance_cache()
    yield proxy
    proxy.close()
