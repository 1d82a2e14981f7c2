"""An alias goes back to what it held before, tested like a promotion, and says what it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlopsproject.config import load_config
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError, StoreError
from mlopsproject.core.promotion import promote, roll_back
from mlopsproject.core.store import Store
from mlopsproject.rollback import rollback


@pytest.fixture
def store(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Store:
    for seed in range(3):
        make_bundle(tmp_path / "models", seed=seed, size=16, prefix="abc"[seed])
    return Store(tmp_path / "models")


def holders(store: Store, *letters: str) -> None:
    for letter in letters:
        promote(named(store, letter), "live", store.uri)


def named(store: Store, letter: str) -> str:
    return next(name for name in store.names() if name.startswith(letter))


def test_going_back_twice_goes_back_further(store: Store) -> None:
    holders(store, "a", "b", "c")
    first, second = roll_back("live", store.uri), roll_back("live", store.uri)
    assert (first.old, first.new) == (named(store, "c"), named(store, "b"))
    assert (second.old, second.new) == (named(store, "b"), named(store, "a"))
    assert store.get_alias("live") == named(store, "a")
    with pytest.raises(StoreError, match="nothing is known of before"):
        roll_back("live", store.uri)


def test_after_a_new_promotion_the_way_back_is_the_one_it_came(store: Store) -> None:
    holders(store, "a", "b", "c")
    roll_back("live", store.uri)
    roll_back("live", store.uri)
    holders(store, "c")
    assert roll_back("live", store.uri).new == named(store, "a")


def test_going_back_never_goes_in_a_circle(store: Store) -> None:
    """A bundle may have been in production more than once."""
    holders(store, "a", "b", "c", "b", "a")
    seen = [roll_back("live", store.uri).new[0] for _ in range(4)]
    assert seen == ["b", "c", "b", "a"]
    with pytest.raises(StoreError, match="nothing is known of before"):
        roll_back("live", store.uri)


def test_the_history_says_what_happened(store: Store) -> None:
    holders(store, "a", "b", "b")
    roll_back("live", store.uri)
    changes = store.alias_history("live")
    assert [(change.bundle[0], change.before and change.before[0], change.rollback) for change in changes] == [
        ("a", None, False),
        ("b", "a", False),
        ("a", "b", True),
    ]
    assert list(store.aliases()) == ["live"]


def test_a_damaged_line_of_the_history_hides_nothing_else(store: Store) -> None:
    holders(store, "a", "b")
    path = Path(store.uri) / "aliases" / ".history" / "live"
    path.write_bytes(path.read_bytes() + b"\xff{nonsense\n")
    assert roll_back("live", store.uri).new == named(store, "a")


def test_a_given_bundle_may_be_gone_back_to(store: Store) -> None:
    holders(store, "b")
    assert roll_back("live", store.uri, to=named(store, "c")).new == named(store, "c")
    with pytest.raises(StoreError, match="did you mean"):
        roll_back("live", store.uri, to=named(store, "c")[:-1] + "0")


def test_a_damaged_bundle_is_not_gone_back_to(store: Store) -> None:
    holders(store, "a", "b")
    (Path(store.uri) / named(store, "a") / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="damaged"):
        roll_back("live", store.uri)
    assert store.get_alias("live") == named(store, "b")


def test_an_unknown_alias_is_a_clear_error(store: Store) -> None:
    holders(store, "a")
    with pytest.raises(StoreError, match="did you mean 'live'"):
        roll_back("lvie", store.uri)


def test_what_no_bundle_is_called_is_a_clear_error(store: Store) -> None:
    holders(store, "a", "b")
    with pytest.raises(StoreError, match="has no bundle or alias '5'"):
        rollback(load_config("rollback", ["alias=live", f"store.uri={store.uri}", "to=5"]))


def test_the_job_says_what_it_did(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    holders(store, "a", "b")
    rollback(load_config("rollback", ["alias=live", f"store.uri={store.uri}"]))
    said = " ".join(capsys.readouterr().out.split())
    assert f"{named(store, 'b')} -> {named(store, 'a')} (rolled back; tested: fp32, int8)" in said
