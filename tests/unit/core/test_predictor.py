"""The Predictor answers with calibrated probabilities, the same however it is asked."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as npst

from mlopsproject import Predictor
from mlopsproject.core.bundle import seal_bundle
from mlopsproject.core.errors import BundleError, ImageError, StoreError
from mlopsproject.core.preprocess import normalise
from mlopsproject.core.spec import InputSpec, ModelSpec, PrecisionSpec
from mlopsproject.core.store import Store


@pytest.fixture(scope="module")
def predictor(tiny_bundle) -> Predictor:
    return Predictor(tiny_bundle)


def test_a_prediction_says_everything(predictor, tiny_bundle, smooth_picture):
    (found,) = predictor.predict([smooth_picture()])
    assert tuple(found.probabilities) == tiny_bundle.spec.classes
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.confidence == max(found.probabilities.values()) == found.probabilities[found.label]
    assert found.uncertain == (found.confidence < 0.3)
    assert found.model_version == tiny_bundle.name


def test_every_kind_of_source_gives_the_same_answer(predictor, encode, smooth_picture, tmp_path):
    picture = smooth_picture(mode="L")
    content = encode(picture)
    (tmp_path / "face.png").write_bytes(content)
    answers = predictor.predict(
        [content, tmp_path / "face.png", str(tmp_path / "face.png"), picture, np.asarray(picture)]
    )
    assert len(answers) == 5
    assert all(answer == answers[0] for answer in answers)


def test_a_single_picture_counts_as_a_list_of_one(predictor, encode, smooth_picture):
    picture = smooth_picture()
    expected = predictor.predict([picture])
    for source in (picture, encode(picture), np.asarray(picture)):
        assert predictor.predict(source) == expected


def test_no_pictures_give_no_predictions(predictor):
    assert predictor.predict([]) == []
    logits, embedding = predictor.logits(np.zeros((0, 1, 64, 64), np.uint8))
    assert logits.shape == (0, 5)
    assert embedding.shape == (0, 8)


def test_logits_are_the_networks_own_and_batching_changes_nothing(predictor, tiny_bundle):
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 64, 64), dtype=np.uint8)
    logits, embedding = predictor.logits(images, batch_size=32)
    session = ort.InferenceSession(tiny_bundle.model_file("fp32"))
    expected = session.run(["logits", "embedding"], {"image": normalise(images, (0.5,), (0.25,))})
    assert logits.dtype == embedding.dtype == np.float32
    np.testing.assert_allclose(logits, expected[0], atol=1e-5)
    np.testing.assert_allclose(embedding, expected[1], atol=1e-5)


def test_each_precision_has_its_own_network_temperature_and_threshold(tiny_bundle, smooth_picture):
    fp32, int8 = Predictor(tiny_bundle), Predictor(tiny_bundle, "int8")
    assert (fp32.precision, fp32.temperature, fp32.abstain_threshold) == ("fp32", 1.5, 0.3)
    assert (int8.precision, int8.temperature, int8.abstain_threshold) == ("int8", 0.5, 0.4)
    assert fp32.predict(smooth_picture()) != int8.predict(smooth_picture())


def test_a_precision_that_is_lacking_is_an_error_never_a_fallback(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path, int8=False)
    with pytest.raises(BundleError, match="no precision 'int8' \\(it has fp32\\)"):
        Predictor(bundle, "int8")


def test_low_confidence_is_uncertain(predictor):
    even, sure = np.full(5, 0.2), np.array([0.9, 0.025, 0.025, 0.025, 0.025])
    assert predictor.prediction(even).uncertain
    assert not predictor.prediction(sure).uncertain
    assert predictor.prediction(sure).label == "angry"


@given(npst.arrays(np.float32, (3, 5), elements={"min_value": -1e4, "max_value": 1e4}))
@settings(max_examples=100, deadline=None)
def test_probabilities_are_finite_sum_to_one_and_keep_the_order(predictor_for_properties, logits):
    found = predictor_for_properties.probabilities(logits)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    assert (found[np.arange(3), logits.argmax(1)] == found.max(1)).all()


@pytest.fixture(scope="session")
def predictor_for_properties(tiny_bundle) -> Predictor:
    return Predictor(tiny_bundle)


def test_the_temperature_softens(predictor):
    logits = np.array([[3, 0, 0, 0, 0]], np.float32)
    expected = np.exp(3 / 1.5) / (np.exp(3 / 1.5) + 4)
    assert predictor.probabilities(logits)[0, 0] == pytest.approx(expected)


def test_threads_can_share_one(predictor, smooth_picture):
    pictures = [smooth_picture(seed=seed) for seed in range(20)]
    expected = predictor.predict(pictures)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda picture: predictor.predict(picture)[0], pictures * 5))
    for answer, wanted in zip(answers, expected * 5, strict=True):
        assert answer.label == wanted.label
        assert answer.confidence == pytest.approx(wanted.confidence, abs=1e-6)


def test_colour_models_work(make_bundle, tmp_path, smooth_picture):
    found = Predictor(make_bundle(tmp_path, channels=3, size=32)).predict([smooth_picture(), smooth_picture(mode="L")])
    assert len(found) == 2


def test_pictures_that_cannot_be_used_say_why(predictor):
    with pytest.raises(ImageError, match="not a picture"):
        predictor.predict([b"not a picture"])


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 3, 64, 64), (1, 1, 48, 48)])
def test_logits_of_another_shape_are_refused(predictor, shape):
    with pytest.raises(ValueError, match="need uint8"):
        predictor.logits(np.zeros(shape, np.uint8))


def test_it_loads_by_alias_name_and_folder(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path)
    Store(tmp_path).set_alias("production", bundle.name)
    for name in ("production", bundle.name, bundle.path, str(bundle.path), str(tmp_path / "production")):
        assert Predictor.load(name, store=tmp_path).model_version == bundle.name
    assert Predictor.from_folder(bundle.path, "int8").precision == "int8"
    with pytest.raises(StoreError, match="did you mean 'production'"):
        Predictor.load("prodcution", store=tmp_path)


def test_it_says_what_it_is(predictor, tiny_bundle):
    assert repr(predictor) == (
        f"Predictor('{tiny_bundle.name}', precision='fp32', "
        "classes=['angry', 'fear', 'happy', 'sad', 'surprise'], input=1x64x64)"
    )


def test_an_unsealed_bundle_answers_when_it_is_not_verified(tiny_bundle, tmp_path, smooth_picture):
    folder = shutil.copytree(tiny_bundle.path, tmp_path / "draft")
    draft = tiny_bundle.spec.model_copy(update={"name": "", "files": {}})
    (folder / "spec.json").write_text(draft.model_dump_json())
    assert Predictor.from_folder(folder, verify=False).predict(smooth_picture())[0].model_version == ""


def seal_with(tiny_bundle, tmp_path, **changes) -> ModelSpec:
    staging = tmp_path / "staging"
    staging.mkdir()
    shutil.copy(tiny_bundle.model_file("fp32"), staging / "model.onnx")
    spec = ModelSpec(
        **{
            "classes": tiny_bundle.spec.classes,
            "input": tiny_bundle.spec.input,
            "precisions": {"fp32": PrecisionSpec(file="model.onnx")},
            **changes,
        }
    )
    return seal_bundle(staging, spec, tmp_path, "odd")


@pytest.mark.parametrize(
    "changes", [{"classes": ("happy", "sad")}, {"input": InputSpec(size=48)}], ids=["classes", "input size"]
)
def test_a_network_that_does_not_fit_its_spec_is_refused(tiny_bundle, tmp_path, changes):
    bundle = seal_with(tiny_bundle, tmp_path, **changes)
    with pytest.raises(BundleError, match="does not have the input size or the classes"):
        Predictor(bundle)


def test_a_file_that_is_no_network_is_refused(tiny_bundle, tmp_path):
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "model.onnx").write_bytes(b"not a network")
    spec = ModelSpec(
        classes=("happy", "sad"), input=InputSpec(size=48), precisions={"fp32": PrecisionSpec(file="model.onnx")}
    )
    bundle = seal_bundle(tmp_path / "staging", spec, tmp_path, "odd")
    with pytest.raises(BundleError, match=r"model\.onnx is not a network"):
        Predictor(bundle)
