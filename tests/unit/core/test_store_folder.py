"""A folder as a store: bundles by name and alias, nothing overwritten, clear errors."""

from __future__ import annotations

import errno
import shutil

import pytest

from mlopsproject.core.errors import BundleError, StoreError, UserError
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store


def test_a_store_that_does_not_exist_yet_is_empty(tmp_path):
    store = Store(tmp_path / "models")
    assert store.names() == []
    assert store.aliases() == {}
    assert store.get_alias("production") is None
    with pytest.raises(StoreError, match="holds no bundles"):
        store.resolve("production")


def test_publishing_copies_the_bundle_and_keeps_the_original(tiny_bundle, tmp_path):
    store = Store(tmp_path / "models")
    assert store.publish(tiny_bundle.path) == tiny_bundle.name
    assert store.names() == [tiny_bundle.name]
    assert store.open(tiny_bundle.name).spec == tiny_bundle.spec
    assert store.open(tiny_bundle.name).path == tmp_path / "models" / tiny_bundle.name
    assert tiny_bundle.path.exists()
    assert [item.name for item in (tmp_path / "models").iterdir()] == [tiny_bundle.name]


def test_publishing_what_is_there_already_changes_nothing(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    before = (bundle.path / "spec.json").stat().st_mtime_ns
    assert Store(tmp_path).publish(bundle.path) == bundle.name
    assert (bundle.path / "spec.json").stat().st_mtime_ns == before


def test_a_damaged_bundle_is_not_published(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "here")
    (bundle.path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError):
        Store(tmp_path / "there").publish(bundle.path)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("file", ["spec.json", "model.onnx"])
def test_something_else_under_the_name_is_never_overwritten(make_bundle, tmp_path, file):
    bundle = make_bundle(tmp_path / "here")
    Store(tmp_path / "there").publish(bundle.path)
    other = tmp_path / "there" / bundle.name / file
    other.write_bytes(b"something else")
    with pytest.raises(StoreError, match="Remove it there"):
        Store(tmp_path / "there").publish(bundle.path)
    assert other.read_bytes() == b"something else"


def test_an_alias_is_one_line_and_moving_it_tells_the_old_bundle(make_bundle, tmp_path):
    first, second = make_bundle(tmp_path, seed=1), make_bundle(tmp_path, seed=2)
    store = Store(tmp_path)
    assert store.set_alias("production", first.name) is None
    assert store.set_alias("production", second.name) == first.name
    assert (tmp_path / "aliases" / "production").read_text() == f"{second.name}\n"
    assert store.aliases() == {"production": second.name}
    assert store.resolve("production") == second.name
    assert store.names() == sorted([first.name, second.name])


@pytest.mark.parametrize("alias", ["", "../x", "a/b", ".hidden", "x-0123456789ab", "a" * 65])
def test_what_cannot_be_an_alias_is_refused(make_bundle, tmp_path, alias):
    bundle = make_bundle(tmp_path)
    with pytest.raises(StoreError, match="cannot be an alias"):
        Store(tmp_path).set_alias(alias, bundle.name)


def test_an_alias_cannot_point_at_nothing(tmp_path):
    with pytest.raises(StoreError, match="has no bundle tiny-000000000000"):
        Store(tmp_path).set_alias("production", "tiny-000000000000")
    assert not (tmp_path / "aliases").exists()


def test_a_damaged_alias_is_named_and_can_be_set_anew(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    (tmp_path / "aliases").mkdir()
    (tmp_path / "aliases" / "production").write_bytes(b"../../etc\xff")
    with pytest.raises(StoreError, match="alias production"):
        Store(tmp_path).resolve("production")
    assert Store(tmp_path).set_alias("production", bundle.name) is None
    assert Store(tmp_path).resolve("production") == bundle.name


def test_an_alias_whose_bundle_is_gone_says_so(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    Store(tmp_path).set_alias("production", bundle.name)
    shutil.rmtree(bundle.path)
    with pytest.raises(StoreError, match=f"points at {bundle.name}, which is not there"):
        Store(tmp_path).resolve("production")


def test_an_unknown_name_lists_what_there_is(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    Store(tmp_path).set_alias("sample", bundle.name)
    with pytest.raises(StoreError, match="did you mean 'sample'"):
        Store(tmp_path).resolve("sampel")
    with pytest.raises(StoreError, match=rf"aliases \[sample\].*{bundle.name}"):
        Store(tmp_path).resolve("zzz")


def test_folders_that_are_no_bundles_are_not_listed(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    (tmp_path / "half-0123456789ab").mkdir()
    (tmp_path / "notes.txt").touch()
    assert Store(tmp_path).names() == [bundle.name]


def test_unknown_addresses_and_missing_packages_are_clear(monkeypatch):
    with pytest.raises(StoreError, match=r"unknown kind.*gs://"):
        Store("nonsense://bucket").names()

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs")

    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    with pytest.raises(StoreError, match=r"package s3fs.*mlopsproject\[store\]"):
        Store("s3://bucket").names()


def test_new_bundles_of_a_bucket_are_sealed_in_the_models_folder(tmp_path):
    assert str(Store.local_folder("s3://bucket/models")) == "models"
    assert Store.local_folder(tmp_path) == tmp_path
    assert Store.local_folder(f"file://{tmp_path}") == tmp_path


def test_a_bundle_is_found_however_it_is_named(make_bundle, tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path / "models")
    Store(tmp_path / "models").set_alias("production", bundle.name)
    monkeypatch.chdir(tmp_path)
    names = ["production", bundle.name, f"models/{bundle.name}", "models/production", f"./models/{bundle.name}/"]
    names += [str(bundle.path), f"file://{bundle.path}", f"{tmp_path}/models/production"]
    assert {resolve_bundle(name).name for name in names} == {bundle.name}
    monkeypatch.chdir(bundle.path.parent)
    assert resolve_bundle(bundle.name, tmp_path / "elsewhere").name == bundle.name


@pytest.mark.parametrize(("name", "error"), [("", StoreError), ("nowhere/at/all", BundleError), ("models", StoreError)])
def test_a_name_that_leads_nowhere_is_an_error(tmp_path, monkeypatch, name, error):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        resolve_bundle(name)


def test_any_fsspec_address_works_as_a_store(make_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPSPROJECT_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(tmp_path / "here")
    store = Store("memory://bucket/models")
    store.publish(bundle.path)
    store.set_alias("latest", bundle.name)
    assert resolve_bundle("memory://bucket/models/latest").path == tmp_path / "cache" / "bundles" / bundle.name


def test_a_bundle_under_another_bundles_name_is_refused(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    bundle.path.rename(tmp_path / "other-0123456789ab")
    with pytest.raises(BundleError, match=f"holds {bundle.name} in the folder other-0123456789ab"):
        resolve_bundle("other-0123456789ab", tmp_path)


def test_a_disk_that_fills_up_while_downloading_is_a_clear_error(make_bundle, tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("MLOPSPROJECT_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(tmp_path / "here")
    Store("memory://full/models").publish(bundle.path)
    monkeypatch.setattr(MemoryFileSystem, "get_file", full)
    with pytest.raises(UserError, match=r"No space left while writing .*cache.*Free"):
        resolve_bundle(f"memory://full/models/{bundle.name}")
    assert list((tmp_path / "cache" / "bundles").iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_file_is_written_whole_and_read_back(tmp_path, kind):
    store = Store(tmp_path / "store" if kind == "folder" else f"memory://{tmp_path.name}/models")
    assert store.read_file("drift/one/drift.json") is None
    assert store.children("drift") == []
    store.write_file("drift/two/drift.json", b"first")
    store.write_file("drift/two/drift.json", b"second")
    store.write_file("drift/one/page.html", b"")
    assert store.read_file("drift/two/drift.json") == b"second"
    assert store.read_file("drift/one/page.html") == b""
    assert store.children("drift") == ["one", "two"]
    assert store.children("drift/two") == ["drift.json"]  # and nothing half-written beside it


def test_a_folder_is_no_file(tmp_path):
    store = Store(tmp_path)
    store.write_file("drift/one/drift.json", b"{}")
    assert store.read_file("drift/one") is None
    assert store.read_file("drift/one/drift.json/more") is None


def test_what_cannot_be_read_or_listed_is_a_clear_error(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    store = Store(f"memory://{tmp_path.name}")
    for name in ("cat_file", "ls", "pipe_file"):
        monkeypatch.setattr(MemoryFileSystem, name, gone)
    for act in (
        lambda: store.read_file("drift/one/drift.json"),
        lambda: store.children("drift"),
        lambda: store.write_file("drift/one/drift.json", b"{}"),
    ):
        with pytest.raises(StoreError, match=r"Store memory://.*no route to host.*Check the address"):
            act()


def test_a_disk_that_fills_up_while_a_file_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write_file("drift/one/drift.json", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match=r"No space left while writing .*drift.json"):
        store.write_file("drift/one/drift.json", b"new")
    assert store.read_file("drift/one/drift.json") == b"old"
    assert store.children("drift/one") == ["drift.json"]
