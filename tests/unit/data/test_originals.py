"""The files behind a data set can be read again, whatever they came in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlopsproject.core.errors import DataError
from mlopsproject.core.preprocess import load_input
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.originals import read_originals

SIZE = 12


def faces(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE), dtype=np.uint8)


def as_folder(folder: Path) -> Path:
    for index, pixels in enumerate(faces()):
        path = folder / "faces" / ("happy", "sad")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder / "faces"


def as_zip(folder: Path) -> Path:
    root = as_folder(folder)
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(root))
    return folder / "faces.zip"


def as_csv(folder: Path) -> Path:
    lines = [f"{3 + index % 2},{' '.join(map(str, pixels.ravel()))},Training" for index, pixels in enumerate(faces())]
    (folder / "fer.csv").write_text("emotion,pixels,Usage\n" + "\n".join(lines) + "\n")
    return folder / "fer.csv"


@pytest.mark.parametrize("make", [as_folder, as_zip, as_csv])
def test_an_original_decodes_to_the_pixels_of_the_cache(make: object, tmp_path: Path) -> None:
    source = make(tmp_path)  # type: ignore[operator]
    import_dataset(source, "faces", root=tmp_path / "data", size=SIZE, min_size=8, workers=1, progress=False)
    dataset = load_dataset("faces", root=tmp_path / "data", classes=["happy", "sad"], size=SIZE, complete=False)
    paths = dataset.manifest.column("path").to_pylist()
    originals = read_originals(dataset.info, paths[:5])
    assert set(originals) == set(paths[:5])
    for row, path in enumerate(paths[:5]):
        assert np.array_equal(load_input(originals[path], InputSpec(size=SIZE)), dataset.images[row])


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    source = as_folder(tmp_path)
    import_dataset(source, "faces", root=tmp_path / "data", size=SIZE, min_size=8, workers=1, progress=False)
    dataset = load_dataset("faces", root=tmp_path / "data", classes=["happy", "sad"], size=SIZE, complete=False)
    (source / "happy" / "0.png").unlink()
    with pytest.raises(DataError, match=r"no longer holds happy/0\.png.*name=faces"):
        read_originals(dataset.info, ["happy/0.png", "sad/1.png"])
