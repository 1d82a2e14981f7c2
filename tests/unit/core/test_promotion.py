"""Promotion tests the artefact first and moves the alias only then."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mlopsproject.core.bundle import open_bundle, seal_bundle
from mlopsproject.core.errors import BundleError, StoreError
from mlopsproject.core.promotion import promote
from mlopsproject.core.store import Store


def test_a_good_bundle_moves_the_alias_and_tells_old_and_new(make_bundle, tmp_path):
    first, second = make_bundle(tmp_path, seed=1), make_bundle(tmp_path, seed=2)
    promotion = promote(first.name, store=tmp_path)
    assert (promotion.alias, promotion.old, promotion.new) == ("production", None, first.name)
    promotion = promote(second.path, store=tmp_path)
    assert (promotion.old, promotion.new, promotion.checked) == (first.name, second.name, ("fp32", "int8"))
    assert str(promotion) == f"production ({tmp_path}): {first.name} -> {second.name}"
    assert Store(tmp_path).get_alias("production") == second.name


def test_an_alias_can_be_promoted_to_another(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    promote(bundle.name, "candidate", tmp_path)
    assert promote("candidate", "production", tmp_path).new == bundle.name


def test_a_bundle_from_elsewhere_is_published_first(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "here")
    promote(bundle.path, "production", tmp_path / "there")
    assert Store(tmp_path / "there").names() == [bundle.name]


@pytest.mark.parametrize("alias", ["", "a/b", None, "two words"])
def test_an_alias_that_cannot_be_one_is_refused_before_anything_is_published(make_bundle, tmp_path, alias):
    bundle = make_bundle(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be an alias"):
        promote(bundle.path, alias, tmp_path / "models")
    assert Store(tmp_path / "models").names() == []


def test_a_damaged_bundle_leaves_the_alias(make_bundle, tmp_path):
    good, bad = make_bundle(tmp_path, seed=1), make_bundle(tmp_path, seed=2)
    promote(good.name, store=tmp_path)
    (bad.path / "model.int8.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.int8\.onnx"):
        promote(bad.name, store=tmp_path)
    assert Store(tmp_path).get_alias("production") == good.name


@pytest.mark.parametrize(
    ("value", "problem"), [(np.nan, "not finite"), (0.0, "every picture the same answer")], ids=["nan", "constant"]
)
def test_a_network_that_answers_nonsense_is_refused(make_bundle, tmp_path, value, problem):
    import onnx
    from onnx import numpy_helper

    bundle = make_bundle(tmp_path / "here")
    staging = shutil.copytree(bundle.path, tmp_path / "staging")
    model = onnx.load(staging / "model.int8.onnx")
    head = next(item for item in model.graph.initializer if item.name == "head")
    head.CopyFrom(numpy_helper.from_array(np.full((8, 5), value, np.float32), "head"))
    onnx.save(model, staging / "model.int8.onnx")
    broken = seal_bundle(staging, open_bundle(bundle.path).spec, tmp_path, "broken")
    with pytest.raises(BundleError, match=rf"{problem} \(int8\)"):
        promote(broken.name, store=tmp_path)
    assert Store(tmp_path).aliases() == {}
