"""The summary of a picture's faces: every face counts once, as its expression or as uncertain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.frontend.stub_api import CLASSES, face

from mlopsproject.core.schemas import FaceAnswer
from mlopsproject.frontend.face_counts import UNCERTAIN, count_faces, sentence


def answer(label: str, share: float) -> FaceAnswer:
    return FaceAnswer.model_validate(face(label, share))


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from([0.4, 0.9])), min_size=1, max_size=40))
def test_every_face_counts_once_and_an_uncertain_one_as_no_expression(shown):
    counted = count_faces([answer(*each) for each in shown])
    assert sum(counted.values()) == len(shown)
    assert counted.get(UNCERTAIN, 0) == sum(share < 0.7 for _, share in shown)
    assert all(counted.values())


def test_expressions_are_in_the_models_order_and_the_uncertain_last():
    faces = [answer("surprise", 0.9), answer("angry", 0.4), answer("fear", 0.9), answer("surprise", 0.9)]
    assert list(count_faces(faces).items()) == [("fear", 1), ("surprise", 2), (UNCERTAIN, 1)]
    assert sentence(faces) == "4 faces: 1 fear, 2 surprise, 1 uncertain."


def test_faces_that_are_all_uncertain_are_said_to_be():
    assert sentence([answer("sad", 0.3), answer("fear", 0.3)]) == "2 faces: 2 uncertain."
