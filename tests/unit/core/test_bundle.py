"""A bundle proves that it is intact, and nothing half-made ever takes its place."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from mlopsproject.core import files
from mlopsproject.core.bundle import content_hash, is_bundle_name, open_bundle, parse_spec, seal_bundle
from mlopsproject.core.errors import BundleError, UserError
from mlopsproject.core.spec import InputSpec, ModelSpec, PrecisionSpec
from mlopsproject.core.store import Store


@pytest.fixture
def copy(tiny_bundle, tmp_path) -> Path:
    """A copy of the bundle that may be damaged."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / tiny_bundle.name))


@pytest.fixture
def staging(tmp_path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"network")
    return folder


SPEC = ModelSpec(
    classes=("happy", "sad"), input=InputSpec(size=48), precisions={"fp32": PrecisionSpec(file="model.onnx")}
)


def test_a_sealed_bundle_opens_as_it_was_sealed(tiny_bundle):
    opened = open_bundle(tiny_bundle.path)
    assert opened.spec == tiny_bundle.spec
    assert opened.name == tiny_bundle.path.name
    assert is_bundle_name(opened.name)
    assert set(opened.spec.files) == {"model.onnx", "model.int8.onnx", "metrics.json", "MODEL_CARD.md"}
    assert opened.metrics() == {"accuracy": 0.2}


def test_the_name_follows_the_content(make_bundle, tmp_path):
    first, same, other = (make_bundle(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first.name == same.name != other.name


def test_sealing_the_same_content_twice_gives_the_same_bundle(make_bundle, tmp_path):
    first = make_bundle(tmp_path, seed=1)
    assert make_bundle(tmp_path, seed=1) == first
    assert sorted(item.name for item in tmp_path.iterdir()) == [first.name]


def test_sealing_moves_the_staging_folder_and_leaves_nothing_else(staging, tmp_path):
    bundle = seal_bundle(staging, SPEC, tmp_path / "models", "tiny")
    assert not staging.exists()
    assert [item.name for item in (tmp_path / "models").iterdir()] == [bundle.name]


def test_files_in_folders_belong_to_the_bundle(staging, tmp_path):
    (staging / "plots").mkdir()
    (staging / "plots" / "confusion.png").write_bytes(b"plot")
    bundle = seal_bundle(staging, SPEC, tmp_path / "models", "tiny")
    assert bundle.file("plots/confusion.png").read_bytes() == b"plot"
    assert open_bundle(bundle.path).spec.files.keys() == {"model.onnx", "plots/confusion.png"}


def test_a_renamed_folder_still_opens_under_its_own_name(copy, tiny_bundle):
    renamed = copy.rename(copy.with_name("my-model"))
    assert open_bundle(renamed).name == tiny_bundle.name


@pytest.mark.parametrize("name", ["model.onnx", "metrics.json", "MODEL_CARD.md"])
def test_a_changed_file_is_named(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} is not the file that was sealed.*again"):
        open_bundle(copy)
    assert open_bundle(copy, verify=False).path == copy


def test_a_missing_file_is_named_even_without_verification(copy):
    (copy / "model.int8.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.int8\.onnx is missing"):
        open_bundle(copy, verify=False)


@pytest.mark.parametrize("verify", [True, False])
def test_a_changed_spec_is_detected(copy, verify):
    document = json.loads((copy / "spec.json").read_text())
    document["precisions"]["fp32"]["abstain_threshold"] = 0.0
    (copy / "spec.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="changed after it was sealed"):
        open_bundle(copy, verify=verify)


def test_a_spec_that_was_only_reformatted_still_opens(copy, tiny_bundle):
    document = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps(document, sort_keys=True))
    assert open_bundle(copy).spec == tiny_bundle.spec


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no schema_version"),
        ('{"name": "x"}', "no schema_version"),
        ('{"schema_version": 2}', "schema version 2.*Upgrade"),
        ('{"schema_version": 1}', "damaged: classes"),
        ("\udcff", "not JSON"),
    ],
)
def test_a_foreign_or_newer_spec_is_refused(copy, content, message):
    (copy / "spec.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


def test_what_is_no_bundle_says_so(tmp_path):
    with pytest.raises(BundleError, match=r"no spec\.json"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="does not exist"):
        open_bundle(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(tmp_path / "file")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "a\\b", "spec.json"])
def test_a_spec_cannot_name_files_outside_the_bundle(copy, name):
    from mlopsproject.core.bundle import content_hash

    document = json.loads((copy / "spec.json").read_text())
    document["files"][name] = "0" * 64
    document["name"] = f"evil-{content_hash(document)}"
    (copy / "spec.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="not one of the bundle's files"):
        open_bundle(copy, verify=False)


def test_a_draft_opens_only_unverified(staging):
    (staging / "spec.json").write_text(SPEC.model_dump_json())
    assert open_bundle(staging, verify=False).spec == SPEC
    with pytest.raises(BundleError, match="sealed"):
        open_bundle(staging)


def test_a_precision_without_its_file_cannot_be_sealed(staging, tmp_path):
    spec = SPEC.model_copy(update={"precisions": {**SPEC.precisions, "int8": PrecisionSpec(file="model.int8.onnx")}})
    with pytest.raises(BundleError, match=r"lacks model\.int8\.onnx"):
        seal_bundle(staging, spec, tmp_path / "models", "tiny")
    assert not (tmp_path / "models").exists()


def test_metrics_that_are_not_numbers_cannot_be_sealed(staging, tmp_path):
    with pytest.raises(BundleError, match="JSON"):
        seal_bundle(
            staging, SPEC.model_copy(update={"metrics": {"test/ece": float("nan")}}), tmp_path / "models", "tiny"
        )


@pytest.mark.parametrize("prefix", ["", "-x", "a/b", "../x", "a b"])
def test_a_prefix_that_cannot_be_in_a_name_is_refused(prefix, staging, tmp_path):
    with pytest.raises(BundleError, match="cannot start"):
        seal_bundle(staging, SPEC, tmp_path / "models", prefix)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(staging, tmp_path, monkeypatch):
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(UserError, match=r"No space left while writing .*models.* Free some disk space"):
        seal_bundle(staging, SPEC, tmp_path / "models", "tiny")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_damaged_bundle_in_the_way_is_not_taken_for_the_new_one(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path, seed=1)
    (bundle.path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.onnx is not the file"):
        make_bundle(tmp_path, seed=1)
    assert [item.name for item in tmp_path.iterdir()] == [bundle.name]


def test_asking_for_what_a_bundle_lacks_lists_what_it_has(tiny_bundle):
    with pytest.raises(BundleError, match=r"no plots\.png; it holds MODEL_CARD\.md"):
        tiny_bundle.file("plots.png")
    with pytest.raises(BundleError, match="no precision 'int4' \\(it has fp32, int8\\)"):
        tiny_bundle.model_file("int4")


def test_a_file_that_the_spec_does_not_list_is_refused(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    (bundle.path / "weights.bin").write_bytes(b"of somebody")
    with pytest.raises(BundleError, match=r"its spec does not list weights\.bin"):
        open_bundle(bundle.path)
    with pytest.raises(BundleError, match=r"weights\.bin"):
        Store(tmp_path / "store").publish(bundle.path)


def test_a_link_in_a_bundle_is_refused_whatever_it_leads_to(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    model = bundle.model_file("fp32")
    model.rename(tmp_path / "elsewhere.onnx")
    model.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"\.onnx is a link"):
        open_bundle(bundle.path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", ["angry", "\ud800"]),
        ("classes", ["angry", "a\nb"]),
        ("classes", ["angry", ""]),
        ("precisions", {"fp32": {"file": "model.onnx", "temperature": 1e308}}),
        ("precisions", {"fp32": {"file": "model.onnx", "temperature": 1e-300}}),
    ],
)
def test_a_spec_with_values_that_cannot_be_used_is_refused(make_bundle, tmp_path, key, value):
    bundle = make_bundle(tmp_path)
    document = json.loads((bundle.path / "spec.json").read_text())
    document[key] = value
    document["name"] = f"evil-{content_hash(document)}"
    with pytest.raises(BundleError, match=key):
        parse_spec(json.dumps(document), "spec.json")
