"""How many of a picture's faces show which expression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import streamlit as st

from mlopsproject.core.schemas import ClassCount, FaceAnswer
from mlopsproject.frontend import charts, parts, theme

UNCERTAIN: Final = "uncertain"
#: From this many faces on there is a chart; the sentence says as much of two.
_MANY: Final = 3


def show(faces: Sequence[FaceAnswer]) -> None:
    """Draw the summary of a picture with several faces: a sentence, and a chart for many.

    Args:
        faces: of the picture; nothing is drawn for a single one.
    """
    if len(faces) < 2:
        return
    st.markdown(parts.plain(sentence(faces)))
    if len(faces) >= _MANY:
        rows = [
            ClassCount(label=label, count=count, uncertain=count * (label == UNCERTAIN), mean_confidence=0)
            for label, count in count_faces(faces).items()
        ]
        st.altair_chart(charts.counts(rows, theme.palette(), legend=False), alt=sentence(faces))


def count_faces(faces: Sequence[FaceAnswer]) -> dict[str, int]:
    """Faces by expression, in the model's order, and `uncertain` last; what occurs not at all is left out.

    Args:
        faces: of one picture.
    """
    found = Counter(UNCERTAIN if face.uncertain else face.predicted_emotion for face in faces)
    names = dict.fromkeys(name for face in faces for name in face.probabilities)
    return {name: found[name] for name in [*names, UNCERTAIN] if found[name]}


def sentence(faces: Sequence[FaceAnswer]) -> str:
    """The summary in a sentence.

    Args:
        faces: of one picture.

    Returns:
        Such as `4 faces: 2 happy, 1 sad, 1 uncertain.`
    """
    counted = ", ".join(f"{count:,} {name}" for name, count in count_faces(faces).items())
    return f"{len(faces):,} face{'s' * (len(faces) != 1)}: {counted}."
