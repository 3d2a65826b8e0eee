from pathlib import Path

import pytest

from alae_tf.system.errors import AlaeError
from alae_tf.system.urls import is_url, refuse_url

URLS = ["s3://bucket/run", "gs://bucket", "abfs://container/a", "file:///tmp/a", "S3://bucket"]


@pytest.mark.parametrize("text", URLS)
def test_urls(text):
    assert is_url(text)


@pytest.mark.parametrize("text", ["runs/a", "/runs/a", "C://a", "s3:/bucket", "a b://c", "", None])
def test_paths(text):
    assert not is_url(text)


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_refused_also_as_a_path(url):
    for given in (url, Path(url)):
        with pytest.raises(AlaeError, match="--out="):
            refuse_url("--out", given)


def test_a_file_with_a_name_like_a_url_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "bucket").touch()
    refuse_url("--out", "s3:/bucket")
    refuse_url("--out", "runs/a")
