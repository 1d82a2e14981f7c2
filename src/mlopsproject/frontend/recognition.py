"""One picture's answer, kept for the session: each picture is sent once, whatever is clicked afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mlopsproject.core.schemas import ExplainResponse, FaceAnswer, FaceMode, PredictResponse
from mlopsproject.frontend.client import ApiClient, ApiError
from mlopsproject.frontend.pictures import Picture, from_content

#: As for the API's `auto`: up to this many pixels on the shorter side a picture is a face that was cut out already.
_CROP_SIDE: Final = 96
_FILE, _KEPT, _FEEDBACK = "file", "recognition", "feedback"


@dataclass
class Recognition:
    """A picture and what the service said of it.

    Attributes:
        picture: as given.
        answer: of the service; `None` if it refused the picture.
        refusal: why it did.
        heat: heat maps by position of the face.
    """

    picture: Picture
    answer: PredictResponse | None = None
    refusal: ApiError | None = None
    heat: dict[int, ExplainResponse] = field(default_factory=dict)


def picture_of(file: UploadedFile) -> Picture:
    """The picture of a file, decoded once however often the page is drawn.

    Args:
        file: that was uploaded, or taken with the camera.
    """
    kept: tuple[str, Picture] | None = st.session_state.get(_FILE)
    if kept is None or kept[0] != file.file_id:
        kept = st.session_state[_FILE] = (file.file_id, from_content(file.getvalue()))
    return kept[1]


def recognise(client: ApiClient, picture: Picture) -> PredictResponse:
    """The answer to a picture, from the service if it is a new one.

    Args:
        client: of the API.
        picture: to recognise.

    Raises:
        ApiError: if there is no answer.
    """
    kept: Recognition | None = st.session_state.get(_KEPT)
    if kept is None or kept.picture.key != picture.key:
        kept = Recognition(picture)
        try:
            kept.answer = _ask(client, picture)
        except ApiError as error:
            if error.is_passing:
                raise
            kept.refusal = error
        st.session_state[_KEPT] = kept
    if kept.answer is None:
        raise kept.refusal or AssertionError("neither an answer nor a refusal")
    return kept.answer


def last_picture() -> Picture | None:
    """The picture that was recognised last, which outlives a look at another page, where uploads do not."""
    kept: Recognition | None = st.session_state.get(_KEPT)
    return None if kept is None else kept.picture


def forget() -> None:
    """Begin anew: the person took the picture away, or gives another one."""
    st.session_state.pop(_FILE, None)
    st.session_state.pop(_KEPT, None)


def explain(client: ApiClient, index: int) -> ExplainResponse:
    """The heat map of a face of the picture that was recognised last.

    Args:
        client: of the API.
        index: position of the face.

    Raises:
        ApiError: if there is none.
    """
    kept: Recognition = st.session_state[_KEPT]
    if index not in kept.heat:
        assert kept.picture.content is not None
        assert kept.answer is not None
        kept.heat[index] = client.explain(kept.picture.content, kept.answer.faces[index].box)
    return kept.heat[index]


def feedback_given(face: FaceAnswer) -> str | None:
    """What this person said of a face, if they did."""
    given: dict[str, str] = st.session_state.get(_FEEDBACK, {})
    return given.get(face.prediction_id)


def give_feedback(client: ApiClient, face: FaceAnswer, label: str) -> None:
    """Send what this person says of a face, once.

    Args:
        client: of the API.
        face: that was answered.
        label: one of the classes.

    Raises:
        ApiError: if it was not taken down.
    """
    if feedback_given(face) is None:
        client.feedback(face.prediction_id, label)
        st.session_state.setdefault(_FEEDBACK, {})[face.prediction_id] = label


def _ask(client: ApiClient, picture: Picture) -> PredictResponse:
    if picture.content is None:
        return client.predict_url(picture.source, "all")
    # A search in a picture that is one face would find parts of it, or nothing.
    small = picture.size is not None and min(picture.size) <= _CROP_SIDE
    mode: FaceMode = "auto" if small else "all"
    return client.predict(picture.content, mode)
