"""A picture with its faces, which can be chosen by a click: a small component of the page's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from mlopsproject.core.schemas import Box
from mlopsproject.frontend.heat_map import AGAINST, FOR, HeatMap
from mlopsproject.frontend.pictures import Picture

_NAME = "mlopsproject_picture"


@dataclass(frozen=True)
class FaceFrame:
    """A face to draw a frame around.

    Attributes:
        box: in pixels of the picture, upright.
        name: read out to those who do not see the picture.
        chosen: whether the page speaks of this one.
    """

    box: Box
    name: str
    chosen: bool


@dataclass(frozen=True)
class Heat:
    """A heat map to lay over the picture, with a legend below, and the face enlarged if it is small.

    Attributes:
        heat_map: as drawn.
        box: the part that it lies over; all of the picture if there is none.
        expression: that the map is about.
    """

    heat_map: HeatMap
    box: Box | None
    expression: str


def show(
    picture: Picture,
    faces: Sequence[FaceFrame] = (),
    heat: Heat | None = None,
    on_choose: Callable[[int], None] | None = None,
) -> None:
    """Show a picture.

    Args:
        picture: to show; a sentence takes its place if the browser cannot.
        faces: to frame; with several of them each is a button.
        heat: laid over the picture.
        on_choose: gets the position of the face that was clicked.
    """
    key = f"picture-{picture.key[:16]}"

    def choose() -> None:
        index = getattr(st.session_state[key], "face", None)
        if on_choose is not None and isinstance(index, int) and 0 <= index < len(faces):
            on_choose(index)

    # A component has one script; a module of it can be part of no other file.
    script = f"{_asset('place_tags.js')}\n{_asset('picture.js')}"
    st.components.v2.component(_NAME, html=_asset("picture.html"), css=_asset("picture.css"), js=script)(
        key=key, data=_data(picture, faces, heat), on_face_change=choose
    )


def _data(picture: Picture, faces: Sequence[FaceFrame], heat: Heat | None) -> dict[str, Any]:
    return {
        "source": picture.source,
        "size": picture.size,
        "alt": "The picture that was recognised",
        "enlarged": "The face, enlarged",
        "missing": "The browser cannot show this picture. The answer is not affected.",
        "faces": [{"box": face.box, "name": face.name, "chosen": face.chosen} for face in faces],
        "heat": None if heat is None else _heat_data(heat),
    }


def _heat_data(heat: Heat) -> dict[str, Any]:
    ends = {
        "against": (AGAINST, f"Speaks against {heat.expression}"),
        "for": (FOR, f"Speaks for {heat.expression}"),
    }
    legend = {end: {"colour": f"rgb{colour}", "words": words} for end, (colour, words) in ends.items()}
    return {"source": heat.heat_map.source, "box": heat.box, **legend}


@cache
def _asset(name: str) -> str:
    return files("mlopsproject.frontend").joinpath("assets", name).read_text(encoding="utf-8")
