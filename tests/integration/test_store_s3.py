"""A store on S3, against a real local server (moto's) through s3fs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from tests.drift_examples import check_reports_come_back

from mlopsproject import Predictor
from mlopsproject.core.errors import StoreError
from mlopsproject.core.promotion import promote
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path) -> Iterator[str]:
    """A fresh bucket's address, reached as a user would: by the environment."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLOPSPROJECT_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = tmp_path.name.replace("_", "-").lower().strip("-")
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()


def files_of(uri: str) -> list[str]:
    import s3fs

    fs = s3fs.S3FileSystem(use_listings_cache=False)
    root = uri.removeprefix("s3://")
    return sorted(item.removeprefix(f"{root}/") for item in fs.find(root))


def test_a_bundle_goes_up_and_comes_back(bucket, make_bundle, tmp_path, smooth_picture):
    bundle = make_bundle(tmp_path / "models")
    store = Store(f"{bucket}/team/models")
    assert store.names() == []
    assert store.publish(bundle.path) == bundle.name
    assert store.names() == [bundle.name]
    assert store.set_alias("production", bundle.name) is None
    assert store.aliases() == {"production": bundle.name}
    fetched = resolve_bundle(f"{bucket}/team/models/production")
    assert fetched.path == tmp_path / "cache" / "bundles" / bundle.name
    assert fetched.spec == bundle.spec
    assert resolve_bundle("production", f"{bucket}/team/models").name == bundle.name
    here, there = Predictor(bundle), Predictor.load(f"{bucket}/team/models/{bundle.name}")
    assert here.predict(smooth_picture()) == there.predict(smooth_picture())
    assert bundle.path.is_dir()


def test_publishing_twice_uploads_once(bucket, make_bundle, tmp_path, monkeypatch):
    import s3fs

    bundle = make_bundle(tmp_path / "models")
    Store(bucket).publish(bundle.path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", refuse)
    assert Store(bucket).publish(bundle.path) == bundle.name


def test_something_else_under_the_name_is_never_overwritten(bucket, make_bundle, tmp_path):
    import s3fs

    bundle = make_bundle(tmp_path / "models")
    Store(bucket).publish(bundle.path)
    s3fs.S3FileSystem().pipe_file(f"{bucket}/{bundle.name}/model.onnx", b"something else")
    with pytest.raises(StoreError, match=r"14 of \d+ bytes of .*model\.onnx.*Remove it there"):
        Store(bucket).publish(bundle.path)


def test_a_failed_upload_is_an_error_shows_no_bundle_and_keeps_the_local_one(
    bucket, make_bundle, tmp_path, monkeypatch
):
    import s3fs

    bundle = make_bundle(tmp_path / "models")
    original, sent = s3fs.S3FileSystem._put_file, []

    async def fail_at_the_third(self, lpath, rpath, **options):
        sent.append(rpath)
        if len(sent) == 3:
            raise ConnectionError("the line went dead")
        return await original(self, lpath, rpath, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", fail_at_the_third)
    with pytest.raises(StoreError, match=r"cannot upload .* \(the line went dead\).*kept in .*models"):
        Store(bucket).publish(bundle.path)
    assert len(files_of(bucket)) == 2
    assert Store(bucket).names() == []
    with pytest.raises(StoreError):
        Store(bucket).set_alias("production", bundle.name)
    assert Predictor.from_folder(bundle.path)
    monkeypatch.undo()


def test_the_upload_can_be_taken_up_again(bucket, make_bundle, tmp_path):
    import s3fs

    bundle = make_bundle(tmp_path / "models")
    s3fs.S3FileSystem().pipe_file(f"{bucket}/{bundle.name}/model.onnx", b"half")
    Store(bucket).publish(bundle.path)
    assert resolve_bundle(bundle.name, bucket).spec == bundle.spec


def test_a_bucket_that_does_not_exist_fails_the_upload(bucket, make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "models")
    with pytest.raises(StoreError, match=r"Store s3://no-such-bucket-here/models: cannot upload"):
        Store("s3://no-such-bucket-here/models").publish(bundle.path)
    assert bundle.path.is_dir()


def test_a_server_that_is_not_there_is_a_clear_error(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"Store s3://bucket: cannot .* the network and the credentials"):
        Store("s3://bucket").names()


def test_a_damaged_download_is_refused_and_not_kept(bucket, make_bundle, tmp_path):
    import s3fs

    bundle = make_bundle(tmp_path / "models")
    Store(bucket).publish(bundle.path)
    content = bytearray((bundle.path / "model.onnx").read_bytes())
    content[-1] ^= 1
    s3fs.S3FileSystem().pipe_file(f"{bucket}/{bundle.name}/model.onnx", bytes(content))
    with pytest.raises(Exception, match=r"model\.onnx is not the file that was sealed"):
        Store(bucket).open(bundle.name)
    assert list((tmp_path / "cache" / "bundles").iterdir()) == []


def test_the_cache_answers_while_the_server_is_away_and_heals_itself(bucket, make_bundle, tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path / "models")
    store = Store(bucket)
    store.publish(bundle.path)
    cached = store.open(bundle.name).path
    (cached / "model.onnx").write_bytes(b"damaged")
    assert store.open(bundle.name).spec == bundle.spec
    assert (cached / "model.onnx").read_bytes() == (bundle.path / "model.onnx").read_bytes()
    monkeypatch.setattr(Store, "_download", None)
    assert store.open(bundle.name).path == cached


def test_promotion_moves_an_alias_in_the_bucket(bucket, make_bundle, tmp_path):
    first, second = make_bundle(tmp_path / "models", seed=1), make_bundle(tmp_path / "models", seed=2)
    assert promote(first.path, "production", bucket).old is None
    assert promote(second.path, "production", bucket).old == first.name
    assert Store(bucket).names() == sorted([first.name, second.name])
    assert Store(bucket).resolve("production") == second.name


def test_drift_reports_go_up_and_come_back(bucket, tmp_path):
    check_reports_come_back(f"{bucket}/models", tmp_path)
