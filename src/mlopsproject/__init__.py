"""Facial-expression recognition, from a folder of faces to a verified, served model bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlopsproject.core.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Load `Predictor` on first use, so that importing the package stays cheap."""
    if name == "Predictor":
        from mlopsproject.core.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
