"""Tables of votes are read for what they are, and become labels by a rule that can be checked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlopsproject.core.errors import ConfigError, DataError, UserError
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.labelling import Labels
from mlopsproject.data.manifest import read_manifest
from mlopsproject.data.votes import LabelRule, Votes, votes_of
from mlopsproject.data.votes_file import read_votes

HEAD = "file,neutral,happiness,sadness,anger,unknown,NF\n"
NAMES = ("happy", "sad", "neutral", "unknown")


def table(folder: Path, text: str) -> str:
    path = folder / "votes.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def said(*counts: int) -> Votes:
    return Votes(NAMES, np.array([counts], np.int64))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Twelve different pictures each of three classes, which have a published split."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 2), ("test", 2)):
        for label in ("happy", "sad", "neutral"):
            for number in range(count):
                path = tmp_path / "faces" / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (24, 24), np.uint8)).save(path)
    return tmp_path / "faces"


def imported(faces: Path, text: str, **options: Any) -> Path:
    return import_dataset(
        faces,
        "faces",
        root=faces.parent / "data",
        split="official",
        votes=table(faces.parent, text),
        progress=False,
        **options,
    ).folder


def lines(votes: dict[str, tuple[int, int, int]]) -> str:
    rows = [f"{path},{neutral},{happy},{sad}\n" for path, (neutral, happy, sad) in votes.items()]
    return "file,neutral,happy,sad\n" + "".join(rows)


@pytest.mark.parametrize(
    ("counts", "rule", "label"),
    [
        ((7, 2, 0, 0), {}, "happy"),
        # A single vote does not count.
        ((2, 1, 1, 1), {}, "happy"),
        ((1, 1, 1, 1), {}, ""),
        ((1, 0, 0, 0), {"min_votes": 1}, "happy"),
        # Over half: of 4 and 4, or 4 and 2 and 2, nobody has it.
        ((4, 4, 0, 0), {}, ""),
        ((4, 2, 2, 0), {}, ""),
        ((4, 2, 2, 0), {"majority": 0.3}, "happy"),
        ((4, 4, 2, 0), {"majority": 0.3}, ""),
        # What is no class counts among the votes.
        ((4, 0, 0, 5), {}, "unknown"),
        ((5, 0, 0, 5), {}, ""),
        ((0, 0, 0, 0), {}, ""),
    ],
)
def test_the_majority_is_over_half_of_what_counts(counts: tuple[int, ...], rule: dict[str, Any], label: str) -> None:
    place = int(said(*counts).majority(LabelRule(**rule))[0])
    assert (NAMES[place] if place >= 0 else "") == label


@pytest.mark.parametrize(
    ("counts", "rule", "shares"),
    [
        ((6, 2, 0, 0), {}, [0.75, 0.25]),
        ((6, 1, 0, 0), {}, [1, 0]),
        ((6, 1, 0, 0), {"min_votes": 1}, [6 / 7, 1 / 7]),
        # Neutral is none of the two: its votes favour neither.
        ((2, 0, 8, 0), {}, [0.6, 0.4]),
        ((2, 0, 8, 0), {"other_votes": "drop"}, [1, 0]),
        ((0, 0, 8, 2), {}, [0.5, 0.5]),
        ((0, 0, 8, 2), {"other_votes": "drop"}, [0, 0]),
        ((1, 1, 1, 1), {}, [0, 0]),
    ],
)
def test_votes_for_other_classes_teach_none_of_the_chosen(
    counts: tuple[int, ...], rule: dict[str, Any], shares: list[float]
) -> None:
    found = said(*counts).distribution(LabelRule(labels="votes", **rule), ("happy", "sad"))
    np.testing.assert_allclose(found[0], shares, atol=1e-6)


@given(st.lists(st.lists(st.integers(0, 12), min_size=4, max_size=4), min_size=1, max_size=20), st.integers(1, 4))
def test_a_distribution_adds_up_and_agrees_with_the_majority(counts: list[list[int]], min_votes: int) -> None:
    votes, rule = Votes(NAMES, np.array(counts)), LabelRule(labels="votes", min_votes=min_votes)
    shares, majority = votes.distribution(rule, ("happy", "sad")), votes.majority(rule)
    totals = shares.sum(axis=1)
    assert np.all(np.isclose(totals, 1, atol=1e-5) | (totals == 0))
    clear = (majority >= 0) & (majority < 2)
    assert (shares[clear].argmax(axis=1) == majority[clear]).all()


def test_columns_are_read_in_their_usual_spellings_with_any_delimiter(tmp_path: Path) -> None:
    given = table(tmp_path, "File;Neutral;Happiness;remark;Not a face\na.png;1;9;3;\nb.png;2.0;0;4;5\n")
    found = read_votes(given, Labels())
    assert found.names == ("neutral", "happy", "not_face")
    assert found.left_out == ("remark",)
    assert found.files == ("a.png", "b.png")
    assert found.counts.tolist() == [[1, 9, 0], [2, 0, 5]]


def test_columns_can_be_counted_as_others(tmp_path: Path) -> None:
    given = table(tmp_path, "file,happy,sad,smirk,contempt\na.png,1,2,3,4\n")
    found = read_votes(given, Labels(), {"smirk": "happy", "contempt": None})
    assert dict(zip(found.names, found.counts[0].tolist(), strict=True)) == {"happy": 4, "sad": 2}
    for wrong, message in (({"smrk": "happy"}, "did you mean 'smirk'"), ({"smirk": "hapy"}, "no known class")):
        with pytest.raises(ConfigError, match=message):
            read_votes(given, Labels(), wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "a.png,-1,0,0,0,0,0\n", "line 2: neutral is '-1'"),
        (HEAD + "a.png,1,0,0,0,0,0\nb.png,0,0.5,0,0,0,0\n", "line 3: happiness is '0.5'"),
        (HEAD + "a.png,1,many,0,0,0,0\n", "line 2: happiness is 'many'"),
        (HEAD + "a.png,0,0,0,0,0,0\n", "holds no votes at all"),
        (HEAD, "holds no votes at all"),
        ("", "not a readable CSV|has no column file"),
        ("neutral,happiness\n1,2\n", "has no column file"),
        ("file,neutral,x,y\na.png,1,2,3\n", "fewer than two known classes"),
        ("file,happy,happy,sad\na.png,1,2,3\n", "two columns 'happy'"),
        (HEAD + "a.png,1,0\n", "not a readable CSV"),
        (HEAD + "a.png,1,0,0,0,0,0\na.png,0,1,0,0,0,0\n", "names 'a.png' twice, again in line 3"),
        (HEAD + f"a.png,{10**12},0,0,0,0,0\n", "line 2: neutral is '1000000000000'"),
    ],
)
def test_a_table_that_holds_no_votes_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_votes(table(tmp_path, text), Labels())
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"votes=.*none\.csv cannot be read: No such file"):
        read_votes(str(tmp_path / "none.csv"), Labels())
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_votes(str(tmp_path), Labels())


def test_a_line_about_no_file_of_the_source_is_refused_before_any_work(faces: Path) -> None:
    with pytest.raises(DataError, match=r"names 1 file.*'train/happy/99\.png' in line 3; did you mean") as caught:
        imported(faces, lines({"train/happy/0.png": (0, 5, 0), "train/happy/99.png": (0, 5, 0)}))
    assert "\n" not in str(caught.value)
    assert not (faces.parent / "data" / "faces").exists()


def test_the_manifest_keeps_the_votes_and_old_fingerprints_stay(faces: Path) -> None:
    plain = import_dataset(faces, "plain", root=faces.parent / "data", split="official", progress=False)
    folder = imported(faces, lines({"train/happy/0.png": (1, 7, 2), "test/sad/1.png": (5, 0, 5)}))
    manifest = read_manifest(folder)
    kept = dict(zip(manifest["path"].to_pylist(), manifest["votes"].to_pylist(), strict=True))
    assert kept["train/happy/0.png"] == '{"neutral":1,"happy":7,"sad":2}'
    assert kept["train/happy/1.png"] == ""
    votes = votes_of(manifest)
    assert votes is not None
    assert votes.voted.sum() == 2
    assert votes_of(read_manifest(plain.folder)) is None
    assert load_dataset("faces", root=folder.parent, complete=False).fingerprint != plain.info["fingerprint"]


def test_what_several_raters_said_decides_what_is_trained_and_measured(faces: Path) -> None:
    folder = imported(
        faces,
        lines(
            {
                "train/happy/0.png": (0, 3, 7),  # given happy, most say sad
                "train/happy/1.png": (10, 0, 0),  # a calm face
                "train/happy/2.png": (1, 1, 1),  # nothing counts
                "validation/happy/0.png": (0, 9, 0),
                "validation/happy/1.png": (0, 5, 5),  # no majority
                "validation/sad/0.png": (9, 0, 0),  # a calm face
                "test/sad/0.png": (0, 0, 10),
            }
        ),
    )

    def paths(rows: Any) -> list[str]:
        every = data.manifest["path"].to_pylist()
        return [every[row] for row in rows]

    rule = LabelRule(labels="majority")
    data = load_dataset("faces", root=folder.parent, classes=["happy", "sad"], rule=rule, complete=False)
    assert data.targets is None
    assert paths(data.splits["train"]) == ["train/happy/0.png"]
    assert [data.classes[label] for label in data.labels[data.splits["train"]]] == ["sad"]
    assert paths(data.splits["validation"]) == ["validation/happy/0.png"]
    assert paths(data.others["validation"]) == ["validation/sad/0.png"]
    assert paths(data.splits["test"]) == ["test/sad/0.png"]

    rule = LabelRule(labels="votes")
    data = load_dataset("faces", root=folder.parent, classes=["happy", "sad"], rule=rule, complete=False)
    assert data.targets is not None
    assert paths(data.splits["train"]) == ["train/happy/0.png", "train/happy/1.png"]
    np.testing.assert_allclose(data.targets[data.splits["train"]], [[0.3, 0.7], [0.5, 0.5]], atol=1e-6)
    assert paths(data.splits["validation"]) == ["validation/happy/0.png"]

    rule = LabelRule(labels="votes", without_votes="given")
    data = load_dataset("faces", root=folder.parent, classes=["happy", "sad"], rule=rule, complete=False)
    assert data.targets is not None
    own = [row for row in data.splits["train"] if data.manifest["path"][int(row)].as_py() == "train/sad/3.png"]
    np.testing.assert_allclose(data.targets[own], [[0, 1]])
    assert len(data.splits["train"]) == 2 + 5 + 8


def test_a_data_set_without_votes_says_so(faces: Path) -> None:
    folder = import_dataset(faces, "plain", root=faces.parent / "data", progress=False).folder
    with pytest.raises(
        DataError,
        match=r"'plain' has no votes, which data.labels=votes needs\. Use data.labels=given, or import it with",
    ):
        load_dataset("plain", root=folder.parent, classes=["happy", "sad"], rule=LabelRule(labels="votes"))


@pytest.mark.parametrize(
    "wrong", [{"labels": "most"}, {"min_votes": 0}, {"majority": 1.0}, {"other_votes": "x"}, {"without_votes": "x"}]
)
def test_rules_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    key = next(iter(wrong))
    with pytest.raises(UserError, match=rf"data\.{key}="):
        LabelRule(**wrong)


def test_the_table_of_ferplus_stands_for_the_rows_of_fer2013(tmp_path: Path) -> None:
    pixels = [" ".join(map(str, np.random.default_rng(n).integers(0, 256, 576))) for n in range(3)]
    rows = "".join(f"{3 + n % 2},{text},Training\n" for n, text in enumerate(pixels))
    source = tmp_path / "fer2013.csv"
    source.write_text("emotion,pixels,Usage\n" + rows, encoding="utf-8")
    head = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    body = "Training,a.png,1,9,0,0,0,0,0,0,0,0\nTraining,,0,0,0,0,0,0,0,0,0,0\nTraining,c.png,0,0,0,8,2,0,0,0,0,0\n"
    options: dict[str, Any] = {"root": tmp_path / "data", "progress": False}
    folder = import_dataset(source, "rows", votes=table(tmp_path, head + body), **options).folder
    manifest = read_manifest(folder)
    assert manifest["votes"].to_pylist() == ['{"neutral":1,"happy":9}', "", '{"sad":8,"angry":2}']
    with pytest.raises(DataError, match="its 1 lines would be those of FER2013's CSV, but the source has 3"):
        import_dataset(source, "short", votes=table(tmp_path, head + body.splitlines()[0] + "\n"), **options)


def test_a_map_of_votes_without_votes_is_no_slip(faces: Path) -> None:
    with pytest.raises(ConfigError, match=r"votes_map= says how votes= is read, which is not given"):
        import_dataset(faces, "plain", root=faces.parent / "data", votes_map={"smirk": "happy"}, progress=False)
