"""The first page: one picture, its faces, and what they look like."""

from __future__ import annotations

import streamlit as st

from mlopsproject.core.schemas import FaceAnswer, PredictResponse
from mlopsproject.frontend import charts, face_counts, parts, picture_view, recognition, session, theme
from mlopsproject.frontend.client import ApiError
from mlopsproject.frontend.heat_map import draw_heat_map
from mlopsproject.frontend.model_facts import ModelFacts
from mlopsproject.frontend.pictures import Picture, from_address
from mlopsproject.frontend.settings import FrontendSettings

_UPLOAD, _CAMERA, _ADDRESS = "Upload", "Camera", "Web address"
_TYPES = ["jpg", "jpeg", "png", "webp", "heic", "avif", "bmp", "gif"]


def page() -> None:
    """Draw the page."""
    parts.heading(
        "Recognise a picture", "Give a picture of a face and see which expression it shows, and how sure the model is."
    )
    left, right = st.columns(2, gap="large")
    with left:
        given = _give()
        picture = given or recognition.last_picture()
        slot = st.container()
        if picture is not None and given is None:
            st.button("Remove this picture", on_click=recognition.forget, key="remove")
    if picture is None:
        with right:
            _explain_page()
        return
    with right:
        answer = _answer(picture)
    if answer is None:
        # The browser fetches no picture of an address that the service refuses.
        if picture.content is not None and picture.source:
            with slot:
                picture_view.show(picture)
        return
    index = _chosen(picture, answer)
    with right:
        heat = _show_answer(picture, answer, index)
    with slot:
        _show_picture(picture, answer, index, heat)


def _give() -> Picture | None:
    """Let the person give a picture in one of three ways."""
    way = st.segmented_control(
        "Where the picture comes from",
        [_UPLOAD, _CAMERA, _ADDRESS],
        default=_UPLOAD,
        required=True,
        key="way",
        on_change=recognition.forget,
    )
    if way == _ADDRESS:
        return _from_address()
    if way == _CAMERA:
        file = st.camera_input("Take a picture", key="camera", on_change=recognition.forget)
    else:
        limit = FrontendSettings.read().upload_max_mb
        file = st.file_uploader(
            "A picture with one face or several",
            type=_TYPES,
            key="upload",
            help=f"Up to {limit} MB.",
            on_change=recognition.forget,
        )
    return None if file is None else recognition.picture_of(file)


def _from_address() -> Picture | None:
    with st.form("address", border=False):
        text = st.text_input("Address of a picture", placeholder="https://example.org/face.jpg", key="url")
        st.form_submit_button("Recognise", type="primary", on_click=recognition.forget)
    if not text:
        st.caption("The service fetches the picture, and so does your browser to show it.")
        return None
    try:
        return from_address(text)
    except ValueError as error:
        st.warning(str(error))
        return None


def _explain_page() -> None:
    """What to expect, while there is no picture."""
    info = session.model()
    names = ModelFacts.of(info).classes if info else ()
    with st.container(border=True, key="empty"):
        st.markdown("### No picture yet")
        st.markdown(
            "1. Give a picture of a face, or of several.\n"
            "2. The faces are found and framed; choose one if there are more.\n"
            "3. See which expression it shows, and how sure the model is.\n\n"
            "If it is not sure enough, it says so instead of guessing."
        )
        if names:
            st.markdown(f"This model knows: {', '.join(parts.plain(name) for name in names)}.")


def _answer(picture: Picture) -> PredictResponse | None:
    try:
        with st.spinner("Looking at the picture …"):
            return recognition.recognise(session.client(), picture)
    except ApiError as error:
        parts.problem(error, again="recognise-again")
        return None


def _chosen(picture: Picture, answer: PredictResponse) -> int:
    """Position of the face that the page speaks of."""
    index = st.session_state.get(_face_key(picture), 0)
    return index if isinstance(index, int) and index < len(answer.faces) else 0


def _face_key(picture: Picture) -> str:
    return f"face-{picture.key[:16]}"


def _order(answer: PredictResponse) -> list[int]:
    """Positions of the faces as one reads: from left to right."""
    return sorted(range(len(answer.faces)), key=lambda index: answer.faces[index].box or (0, 0, 0, 0))


def _show_picture(picture: Picture, answer: PredictResponse, index: int, heat: picture_view.Heat | None) -> None:
    order = _order(answer)
    frames = [
        picture_view.FaceFrame(box, f"Face {number}: {_words(answer.faces[position])}", position == index)
        for number, position in enumerate(order, 1)
        if (box := answer.faces[position].box) is not None
    ]

    def choose(number: int) -> None:
        st.session_state[_face_key(picture)] = order[number]

    picture_view.show(picture, frames, heat, choose)


def _show_answer(picture: Picture, answer: PredictResponse, index: int) -> picture_view.Heat | None:
    """The answer to one face, and all that can be done with it.

    Returns:
        The heat map to lay over the picture, if it is wanted.
    """
    face = answer.faces[index]
    info = session.model()
    facts = ModelFacts.of(info) if info and info.model_version == answer.model_version else None
    threshold = facts.threshold if facts else None
    face_counts.show(answer.faces)
    _choose(picture, answer)
    with st.container(border=True, key="answer"):
        _verdict(face, threshold)
        _caveat(answer)
        chart = charts.probabilities(
            face.probabilities, face.predicted_emotion, face.uncertain, threshold, theme.palette()
        )
        st.altair_chart(chart, alt=_as_text(face))
        dashes = f" Dashed: the model answers from {charts.percent(threshold)} on." if threshold is not None else ""
        st.caption(f"Calibrated probabilities.{dashes}")
    heat = _heat(picture, index, face)
    _feedback(face)
    st.caption(f"Model {parts.plain(answer.model_version)}, answer {parts.plain(face.prediction_id)}")
    return heat


def _choose(picture: Picture, answer: PredictResponse) -> None:
    """Let the person choose among several faces, as a click on the picture does."""
    if len(answer.faces) < 2:
        return
    order = _order(answer)
    st.session_state.setdefault(_face_key(picture), 0)
    st.segmented_control(
        "Faces from left to right: click one, or choose here",
        order,
        required=True,
        format_func=lambda position: str(order.index(position) + 1),
        key=_face_key(picture),
    )


def _verdict(face: FaceAnswer, threshold: float | None) -> None:
    name, share = parts.plain(face.predicted_emotion), charts.percent(face.confidence)
    with st.container(key="verdict"):
        if not face.uncertain:
            st.markdown(f":small[:gray[Apparent expression]]\n## {name}\nwith a probability of {share}")
            return
        needed = f", and {charts.percent(threshold)} is needed" if threshold is not None else ""
        st.markdown(
            ":small[:gray[Apparent expression]]\n## :orange[Uncertain]\n"
            f"The model is not sure enough to answer. Its best guess is {name}, at {share}{needed}."
        )


def _caveat(answer: PredictResponse) -> None:
    if answer.face_search == "not_found":
        st.warning("No face was found. The whole picture was scored; trust the answer less.")
    elif answer.face_search == "skipped":
        st.caption("The picture is small and was taken for one face that was cut out already.")


def _heat(picture: Picture, index: int, face: FaceAnswer) -> picture_view.Heat | None:
    if picture.content is None:
        st.caption("To see what the answer rests on, upload the picture itself.")
        return None
    if not st.toggle("Show what the answer rests on", key=f"heat-{face.prediction_id}"):
        return None
    try:
        with st.spinner("Covering the face part by part …"):
            explained = recognition.explain(session.client(), index)
        heat_map = draw_heat_map(explained.heatmap)
    except ApiError as error:
        parts.problem(error, again="heat-again")
        return None
    except ValueError as error:
        st.warning(str(error))
        return None
    if heat_map is None:
        st.info("No part of this picture matters more than another: whichever is covered, the answer stays the same.")
        return None
    name = explained.predicted_emotion
    most = f"covering the most orange one divides the odds of {parts.plain(name)} by {heat_map.factor:.1f}"
    st.caption(
        "Each part of the face was covered in turn. Colours are relative to the part that matters most in this face"
        + (f"; {most}." if heat_map.factor > 1 else ".")
    )
    return picture_view.Heat(heat_map, explained.box, name)


def _feedback(face: FaceAnswer) -> None:
    given = recognition.feedback_given(face)
    if given is not None:
        st.success(f"Thank you. It is noted that the face looks **{parts.plain(given)}** to you.")
        return
    agreed = None if face.uncertain else face.predicted_emotion
    st.markdown("What does it look like to you?")
    with st.container(horizontal=True, key="feedback"):
        for label in sorted(face.probabilities, key=lambda other: bool(agreed) and other != agreed):
            agree = label == agreed
            text = f"{parts.plain(label)}, I agree" if agree else parts.plain(label)
            if st.button(text, key=f"say-{face.prediction_id}-{label}", type="primary" if agree else "secondary"):
                _send_feedback(face, label)


def _send_feedback(face: FaceAnswer, label: str) -> None:
    try:
        recognition.give_feedback(session.client(), face, label)
    except ApiError as error:
        parts.problem(error)
    else:
        st.rerun()


def _words(face: FaceAnswer) -> str:
    return "uncertain" if face.uncertain else face.predicted_emotion


def _as_text(face: FaceAnswer) -> str:
    shares = ", ".join(f"{name} {charts.percent(share)}" for name, share in face.probabilities.items())
    return f"Probability of each expression: {shares}"
