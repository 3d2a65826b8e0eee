import builtins

import pytest

from alae_tf.cloud.storage import Entry, Storage, StorageError

pytest.importorskip("fsspec", reason="the extra cloud is not installed")


def test_files_of_a_folder_of_this_machine(tmp_path):
    storage = Storage("--out", f"file://{tmp_path}/folder")
    assert storage.list() == {}
    storage.write("a/b", b"123")
    assert storage.create("c", b"1") and not storage.create("c", b"2")
    assert {name: entry.size for name, entry in storage.list().items()} == {"a/b": 3, "c": 1}
    assert storage.list("a").keys() == {"a/b"}
    assert storage.read("a/b", 1, 3) == b"23" and storage.read("c") == b"1"
    storage.download("a/b", storage.list()["a/b"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"123"
    storage.delete("c")
    storage.delete("c")
    assert storage.list().keys() == {"a/b"}


def test_an_upload_that_fails_leaves_the_old_file_of_a_disk(tmp_path, monkeypatch):
    storage = Storage("--out", f"file://{tmp_path}")
    storage.write("a", b"old")

    def cut(path, data, **options):
        with open(path, "wb") as file:
            file.write(data[:1])
        raise OSError("cut")

    monkeypatch.setattr(storage._fs, "pipe_file", cut)
    with pytest.raises(StorageError, match="--out=file"):
        storage.write("a", b"new")
    assert storage.read("a") == b"old"
    assert storage.list().keys() == {"a"}


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("nowhere://bucket/x", "nowhere"),
        ("abfs://container/x", r"alae-tf\[cloud\]"),  # its package is of no extra
        ("s3://", "no bucket"),
        ("ftp://127.0.0.1:1/x", "refused"),
        ("zip://x::file:///nowhere/a.zip", "nowhere"),
        ("s3://bucket/..", "part"),  # its local copy would be the folder of all copies
        ("s3://bucket/./x", "part"),
    ],
)
def test_urls_that_cannot_be_opened(url, named):
    with pytest.raises(StorageError, match=f"--run_dir={url}.*{named}") as caught:
        Storage("--run_dir", url)
    assert caught.value.exit_code == 2


def test_without_the_extra_a_message_names_it(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name == "fsspec":
            raise ModuleNotFoundError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(StorageError, match=r"--data=s3://b/x.*alae-tf\[cloud\]"):
        Storage("--data", "s3://b/x")


def test_a_conditional_write_of_s3(cloud):
    storage = Storage("--run_dir", cloud)
    assert storage.create("x", b"1") and not storage.create("x", b"2")
    assert storage.read("x") == b"1"


def test_folders_that_a_console_has_made(cloud):
    storage = Storage("--run_dir", cloud)
    for name in ("", "samples/"):
        bucket, _, key = f"{storage._root}/{name}".partition("/")
        storage._fs.call_s3("put_object", Bucket=bucket, Key=key, Body=b"")
    assert storage.list() == {}


@pytest.mark.slow
def test_a_large_upload_that_is_cut_leaves_nothing(proxy, cloud, tmp_path):
    storage = Storage("--run_dir", cloud)
    large = tmp_path / "large"
    large.write_bytes(bytes(110 * 2**20))  # in parts of 50 MiB
    proxy.fault = lambda method, path: "cut" if "partNumber=2" in path else None
    with pytest.raises(StorageError):
        storage.upload(large, "large")
    assert any("partNumber=2" in path for _, path in proxy.seen)
    assert storage.list() == {}
    proxy.fault = lambda method, path: None
    storage.upload(large, "large")
    assert storage.list()["large"].size == 110 * 2**20


def test_a_missing_bucket(cloud):
    with pytest.raises(StorageError, match="--run_dir=s3://nowhere/x: .*does not exist"):
        Storage("--run_dir", "s3://nowhere/x").list()


def test_a_name_that_no_bucket_has(cloud):
    with pytest.raises(StorageError, match="--run_dir=s3://a b/x: .*bucket name"):
        Storage("--run_dir", "s3://a b/x").list()


def test_missing_credentials(cloud, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(StorageError, match="credentials"):
        Storage("--run_dir", f"{cloud}/other").list()


def test_wrong_credentials(proxy, cloud):
    proxy.fault = lambda method, path: "403"
    with pytest.raises(StorageError, match="check the credentials"):
        Storage("--run_dir", cloud).list()


def test_storage_that_is_busy_once_is_asked_again(proxy, cloud):
    faults = ["503", "503"]
    proxy.fault = lambda method, path: faults.pop() if faults else None
    storage = Storage("--run_dir", cloud)
    storage.write("a", b"123")
    assert storage.read("a") == b"123"
    assert not faults


def test_an_upload_that_is_cut_leaves_nothing_or_the_old_file(proxy, cloud):
    storage = Storage("--run_dir", cloud)
    storage.write("old", b"old")
    proxy.fault = lambda method, path: "cut" if method == "PUT" else None
    for name in ("old", "new"):
        with pytest.raises(StorageError):
            storage.write(name, b"x" * 1000)
    assert storage.list().keys() == {"old"}
    assert storage.read("old") == b"old"


def test_a_download_that_ends_early_is_not_taken_for_whole(proxy, cloud, tmp_path):
    storage = Storage("--run_dir", cloud)
    storage.write("a", b"x" * 100)
    entry = storage.list()["a"]
    with pytest.raises(StorageError, match="a: "):
        storage.download("a", Entry(101, entry.version), tmp_path / "a")
    proxy.fault = lambda method, path: "short" if method == "GET" else None
    with pytest.raises(StorageError):
        storage.download("a", entry, tmp_path / "a")
    assert not (tmp_path / "a").exists() and not list(tmp_path.glob(".alae-*"))
