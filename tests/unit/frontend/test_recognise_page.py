"""The first page: a picture's faces, what they look like, what that rests on, and what the person says of it."""

from __future__ import annotations

import pytest
from tests.unit.frontend.pages import button, charts, give, words
from tests.unit.frontend.stub_api import CLASSES, Answer, face, picture, problem

from mlopsproject.frontend import recognition


def test_a_picture_gets_its_label_its_probability_its_chart_and_the_models_name(api, open_page, png):
    page = give(open_page(), ("face.png", png))
    text = words(page)
    assert "## happy" in text
    assert "with a probability of 90.0 %" in text
    assert "the model answers from 70.0 % on" in text
    assert "Model stub-0123456789ab" in text
    assert charts(page) == 1
    assert "No picture yet" not in text


def test_a_picture_is_sent_once_whatever_is_clicked_afterwards(api, open_page, png):
    page = give(open_page(), ("face.png", png))
    page.run()
    page.toggle[0].set_value(True).run()
    assert len(api.of("/predict/")) == 1


def test_every_face_is_asked_for_unless_the_picture_is_a_face_already(api, open_page, png, encode, smooth_picture):
    page = give(open_page(), ("face.png", png))
    give(page, ("crop.png", encode(smooth_picture(64, 64))))
    assert [request.form["face"] for request in api.of("/predict/")] == [b"all", b"auto"]


def test_the_bytes_are_sent_as_they_were_given(api, open_page, png):
    give(open_page(), ("face.png", png))
    assert api.of("/predict/")[0].files == [png]


def test_an_uncertain_answer_is_headed_as_such_and_no_label_stands_out(api, open_page, png):
    api.says["POST /predict/"] = Answer(picture(face("sad", 0.4)))
    page = give(open_page(), ("face.png", png))
    text = words(page)
    assert "## :orange[Uncertain]" in text
    assert "Its best guess is sad, at 40.0 %, and 70.0 % is needed." in text
    assert "## sad" not in text
    assert "**sad**" not in text
    assert [each.label for each in page.button] == list(CLASSES)
    assert {each.type for each in page.button} == {"button"}


def test_a_picture_without_a_face_says_so(api, open_page, png):
    api.says["POST /predict/"] = Answer(picture(face(), search="not_found"))
    assert "No face was found. The whole picture was scored" in words(give(open_page(), ("wall.png", png)))


def test_a_small_picture_says_that_no_face_was_looked_for(api, open_page, png):
    api.says["POST /predict/"] = Answer(picture(face(), search="skipped"))
    assert "was taken for one face that was cut out already" in words(give(open_page(), ("crop.png", png)))


def test_of_several_faces_the_largest_is_shown_first_and_each_can_be_chosen(api, open_page, png):
    large, small = face("happy", number=1, box=[90, 0, 80, 80]), face("fear", number=2, box=[10, 0, 40, 40])
    api.says["POST /predict/"] = Answer(picture(large, small))
    page = give(open_page(), ("two.png", png))
    assert "## happy" in words(page)
    choice = page.button_group[1]
    assert choice.options == ["1", "2"]  # from left to right: the first is the small one
    choice.set_value(1).run()
    assert "## fear" in words(page)
    assert len(api.of("/predict/")) == 1


def test_a_picture_of_many_faces_is_summed_up_above_the_answer_to_one(api, open_page, png):
    shown = [("happy", 0.9), ("sad", 0.9), ("happy", 0.8), ("fear", 0.4)]
    faces = [face(*each, number=number, box=[40 * number, 0, 30, 30]) for number, each in enumerate(shown)]
    api.says["POST /predict/"] = Answer(picture(*faces))
    page = give(open_page(), ("many.png", png))
    assert "4 faces: 2 happy, 1 sad, 1 uncertain." in words(page)
    assert charts(page) == 2
    text = words(page)
    assert text.index("4 faces:") < text.index("## happy")


def test_two_faces_are_summed_up_in_a_sentence_and_one_is_not(api, open_page, png):
    assert "1 face" not in words(give(open_page(), ("one.png", png)))
    api.says["POST /predict/"] = Answer(picture(face(box=[0, 0, 9, 9]), face("sad", number=2, box=[9, 0, 9, 9])))
    page = give(open_page(), ("two.png", png))
    assert "2 faces: 1 happy, 1 sad." in words(page)
    assert charts(page) == 1


def test_feedback_is_sent_once_and_thanked_for(api, open_page, png):
    page = give(open_page(), ("face.png", png))
    button(page, "happy, I agree").click().run()
    page.run()
    assert "It is noted that the face looks **happy** to you." in words(page)
    assert not page.button
    (request,) = api.of("/feedback")
    assert request.json == {"prediction_id": f"{1:032x}", "label": "happy"}


def test_another_class_can_be_named(api, open_page, png):
    page = give(open_page(), ("face.png", png))
    button(page, "sad").click().run()
    assert api.of("/feedback")[0].json["label"] == "sad"
    assert "looks **sad** to you" in words(page)


def test_feedback_that_was_not_taken_down_is_not_thanked_for_and_can_be_given_again(api, open_page, png):
    kept = api.says["POST /feedback"]
    api.says["POST /feedback"] = problem(503, "log_full", "The log is full.")
    page = give(open_page(), ("face.png", png))
    button(page, "sad").click().run()
    assert "The log is full." in words(page)
    assert "Thank you" not in words(page)
    api.says["POST /feedback"] = kept
    button(page, "sad").click().run()
    assert "Thank you" in words(page)


def test_each_face_takes_its_own_feedback(api, open_page, png):
    faces = face("happy", number=1, box=[0, 0, 80, 80]), face("fear", number=2, box=[90, 0, 40, 40])
    api.says["POST /predict/"] = Answer(picture(*faces))
    page = give(open_page(), ("two.png", png))
    button(page, "happy, I agree").click().run()
    page.button_group[1].set_value(1).run()
    assert "Thank you" not in words(page)
    button(page, "fear, I agree").click().run()
    assert [request.json["label"] for request in api.of("/feedback")] == ["happy", "fear"]


def test_the_heat_map_is_asked_for_on_demand_and_once(api, open_page, png):
    page = give(open_page(), ("face.png", png))
    assert not api.of("/explain")
    page.toggle[0].set_value(True).run()
    page.run()
    assert "covering the most orange one divides the odds of happy by 1.6." in words(page)
    (request,) = api.of("/explain")
    assert request.form["boxes"] == b"[[10, 10, 40, 40]]"


def test_a_heat_map_that_fails_leaves_the_answer(api, open_page, png):
    api.says["POST /explain"] = problem(503, "busy", "Too much work.")
    page = give(open_page(), ("face.png", png))
    page.toggle[0].set_value(True).run()
    assert "Too much work." in words(page)
    assert "## happy" in words(page)
    assert button(page, "Try again")


def test_a_picture_without_structure_is_told_instead_of_an_empty_map(api, open_page, png):
    api.says["POST /explain"] = Answer({**api.says["POST /explain"].body, "heatmap": [[1e-7, 0.0], [0.0, -1e-7]]})
    page = give(open_page(), ("gray.png", png))
    page.toggle[0].set_value(True).run()
    assert "No part of this picture matters more than another" in page.info[0].value
    assert "orange" not in words(page)


def test_a_map_in_which_nothing_speaks_for_the_answer_names_no_orange_part(api, open_page, png):
    api.says["POST /explain"] = Answer({**api.says["POST /explain"].body, "heatmap": [[-0.5, -0.1], [0.0, -0.2]]})
    page = give(open_page(), ("face.png", png))
    page.toggle[0].set_value(True).run()
    assert "Colours are relative to the part that matters most in this face." in words(page)
    assert "orange" not in words(page)


def test_a_heat_map_without_rows_is_told_and_leaves_the_answer(api, open_page, png):
    api.says["POST /explain"] = Answer({**api.says["POST /explain"].body, "heatmap": []})
    page = give(open_page(), ("face.png", png))
    page.toggle[0].set_value(True).run()
    assert "no heat map that can be drawn" in words(page)
    assert "## happy" in words(page)


def test_a_picture_that_is_refused_says_why_and_is_not_sent_again(api, open_page):
    api.says["POST /predict/"] = problem(400, "truncated", "The picture is *cut* off.")
    page = give(open_page(), ("broken.png", b"no picture"))
    assert page.error[0].value == r"**The picture is \*cut\* off\.**"
    assert not page.button
    page.run()
    assert len(api.of("/predict/")) == 1


def test_a_busy_service_can_be_asked_again(api, open_page, png):
    answered = api.says["POST /predict/"]
    api.says["POST /predict/"] = problem(429, "rate_limit", "Too many requests.", Retry_After="5")
    page = give(open_page(), ("face.png", png))
    assert "**Too many requests.** Please try again in 5 seconds." in words(page)
    api.says["POST /predict/"] = answered
    button(page, "Try again").click().run()
    assert "## happy" in words(page)


def test_a_slow_service_is_told(api, open_page, monkeypatch, png):
    monkeypatch.setenv("BACKEND_TIMEOUT_SECONDS", "0.1")
    api.says["POST /predict/"] = Answer({}, seconds=0.4)
    assert "The service took longer than 0.1 seconds." in words(give(open_page(), ("face.png", png)))


def test_a_web_address_is_fetched_by_the_service(api, open_page):
    page = open_page()
    page.button_group[0].set_value("Web address").run()
    page.text_input[0].input("https://example.org/face.jpg")
    button(page, "Recognise").click().run()
    assert "## happy" in words(page)
    assert "upload the picture itself" in words(page)  # there is nothing here that could be explained
    assert api.of("/predict/url")[0].json == {"url": "https://example.org/face.jpg", "face": "all"}


@pytest.mark.parametrize("text", ["file:///etc/passwd", "face.jpg"])
def test_something_that_is_no_address_is_not_sent(api, open_page, text):
    page = open_page()
    page.button_group[0].set_value("Web address").run()
    page.text_input[0].input(text)
    button(page, "Recognise").click().run()
    assert "starting with https:// or http://" in page.warning[0].value
    assert not api.of("/predict/url")


def test_a_wrong_address_does_not_leave_the_last_answer_standing(open_page):
    page = open_page()
    page.button_group[0].set_value("Web address").run()
    page.text_input[0].input("https://example.org/face.jpg")
    button(page, "Recognise").click().run()
    page.text_input[0].input("face.jpg")
    button(page, "Recognise").click().run()
    assert "## happy" not in words(page)


def test_the_camera_is_asked_for_only_when_it_is_chosen(open_page, encode, smooth_picture):
    page = open_page()
    assert not page.camera_input
    page.button_group[0].set_value("Camera").run()
    page.camera_input[0].set_value(("shot.jpg", encode(smooth_picture(200, 150), "JPEG"), "image/jpeg")).run()
    assert "## happy" in words(page)


def test_a_picture_is_decoded_once_however_often_the_page_is_drawn(open_page, png, monkeypatch):
    decoded = []
    from_content = recognition.from_content
    monkeypatch.setattr(recognition, "from_content", lambda content: decoded.append(content) or from_content(content))
    page = give(open_page(), ("face.png", png))
    page.run()
    page.run()
    assert decoded == [png]


def test_taking_the_picture_away_begins_anew(open_page, png):
    page = give(open_page(), ("face.png", png))
    page.file_uploader[0].clear().run()
    assert "No picture yet" in words(page)
    assert "file" not in page.session_state, "its bytes are not kept"


def test_another_model_than_the_one_that_answered_lends_no_threshold(api, open_page, png):
    api.says["POST /predict/"] = Answer({**picture(face("sad", 0.4)), "model_version": "newer-0123456789ab"})
    text = words(give(open_page(), ("face.png", png)))
    assert "Its best guess is sad, at 40.0 %." in text
    assert "the model answers from" not in text
