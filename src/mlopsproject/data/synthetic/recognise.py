"""Know the shipped sample data when it is trained on, so that nothing measured on it passes for a result on people."""

from __future__ import annotations

import hashlib
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

#: SHA-256 over the sorted pixel hashes of what `train_data.dvc` and `drift_data.dvc` track.
SHIPPED: Final = frozenset(
    {
        "27004a094be0acece73b63cc164f6d0a8687ef80e8a2a2002c658c0bc837a13b",
        "02e5224006dad8f9539c7d57c60fcea74df7881346951671287a4c9b14ad354f",
    }
)


def pixel_digest(manifest: pa.Table) -> str:
    """SHA-256 over a manifest's sorted pixel hashes: the same for the same pictures, however they are split."""
    hashes = pc.sort_indices(manifest["pixel_hash"])
    joined = "\n".join(manifest["pixel_hash"].take(hashes).to_pylist())
    return hashlib.sha256(joined.encode()).hexdigest()


def is_shipped_sample(manifest: pa.Table) -> bool:
    """Whether a manifest lists exactly the synthetic faces that ship with the project."""
    return pixel_digest(manifest) in SHIPPED
