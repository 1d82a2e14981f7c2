"""`promote data.name=…`: an alias moves only to a model that is no worse on the same test images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlopsproject.config import load_config
from mlopsproject.core.errors import BundleError, ConfigError, DataError, StoreError
from mlopsproject.core.promotion import promote as promote_bundle
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store
from mlopsproject.data.importer import import_dataset
from mlopsproject.preprocess import preprocess
from mlopsproject.promote import promote

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gate") / "data"
    import_dataset(ROOT / "train_data", "faces", root=root, progress=False)
    return root


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the shipped bundles and without aliases."""
    folder = tmp_path / "models"
    for alias in ("sample", "production", "seven"):
        bundle = resolve_bundle(alias, ROOT / "models")
        shutil.copytree(bundle.path, folder / bundle.name)
    return folder


def name(alias: str) -> str:
    return resolve_bundle(alias, ROOT / "models").name


def run(store: Path, data: Path, bundle: str, *overrides: str) -> None:
    given = [f"bundle={name(bundle)}", "alias=live", f"store.uri={store}", "data.name=faces", f"data.root={data}"]
    promote(load_config("promote", [*given, *overrides]))


def test_a_new_alias_takes_a_model_that_is_good_enough(
    store: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(store, data, "sample", "gate.min_accuracy=0.8")
    assert Store(store).get_alias("live") == name("sample")
    assert "Gate passed: right on 9" in capsys.readouterr().out


def test_a_model_below_the_least_accuracy_is_not_promoted(store: Path, data: Path) -> None:
    with pytest.raises(BundleError, match=r"not promoted: it is right on .* 99 % is the least \(gate.min_accuracy\)"):
        run(store, data, "sample", "gate.min_accuracy=0.99")
    assert Store(store).get_alias("live") is None


def test_the_same_model_again_is_no_worse(store: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(store).set_alias("live", name("sample"))
    run(store, data, "sample")
    assert f"+0.0 points (+0.0 to +0.0) against {name('sample')}" in capsys.readouterr().out


def test_a_worse_model_leaves_the_alias_where_it_is(store: Path, data: Path) -> None:
    Store(store).set_alias("live", name("sample"))
    with pytest.raises(BundleError, match=r"may be worse by more than 2 points \(gate.margin\)"):
        run(store, data, "production")
    assert Store(store).get_alias("live") == name("sample")


def test_a_better_model_takes_its_place(store: Path, data: Path) -> None:
    Store(store).set_alias("live", name("production"))
    run(store, data, "sample")
    assert Store(store).get_alias("live") == name("sample")


def test_an_alias_that_has_moved_since_the_comparison_is_left_alone(store: Path) -> None:
    Store(store).set_alias("live", name("seven"))
    with pytest.raises(StoreError, match=f"live holds {name('seven')} by now, and not {name('production')}"):
        promote_bundle(name("sample"), "live", store, instead_of=name("production"))
    assert Store(store).get_alias("live") == name("seven")


@pytest.mark.parametrize(
    ("bundle", "overrides", "why"),
    [
        ("seven", [], "has other classes than"),
        ("production", ["gate.min_test=1000"], r"too few; 1000 different ones are needed \(gate.min_test\)"),
    ],
)
def test_what_cannot_be_compared_is_not_promoted(
    store: Path, data: Path, bundle: str, overrides: list[str], why: str
) -> None:
    Store(store).set_alias("live", name("sample"))
    with pytest.raises(BundleError, match=why):
        run(store, data, bundle, *overrides)
    assert Store(store).get_alias("live") == name("sample")


def test_a_gate_that_is_not_possible_and_data_that_are_not_there(store: Path, data: Path) -> None:
    with pytest.raises(ConfigError, match=r"gate\.min_accuracy"):
        run(store, data, "sample", "gate.min_accuracy=2")
    with pytest.raises(DataError, match="No data set 'face'"):
        run(store, data, "sample", "data.name=face")
    assert Store(store).get_alias("live") is None


def test_preprocessing_makes_the_cache_that_a_training_opens(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = preprocess(load_config("preprocess", ["data.name=faces", f"data.root={data}", "data.size=48"]))
    assert dataset.images.shape == (2600, 1, 48, 48)
    assert list((data / "faces/cache").glob("48x48x1-*.npy"))
    assert "2,600 pictures of 48 x 48 pixels, 1 channel" in " ".join(capsys.readouterr().out.split())


def test_preprocessing_refuses_data_that_no_training_could_use(data: Path) -> None:
    with pytest.raises(DataError, match="disgust"):
        preprocess(load_config("preprocess", ["data.name=faces", f"data.root={data}", "classes=seven"]))
