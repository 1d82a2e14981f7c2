"""Every network: shapes, sizes, and what the factory may build."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mlopsproject.config import load_config, values
from mlopsproject.core.errors import ConfigError
from mlopsproject.training.factory import build, build_network
from mlopsproject.training.networks import (
    MiniXception,
    ReferenceCNN,
    ResidualNet,
    SEConvNet,
    StackedNet,
    count_macs,
    count_parameters,
)
from mlopsproject.training.networks.mirror import MirrorConv, MirrorNorm
from mlopsproject.training.networks.residual import ResidualBlock, Shrink
from mlopsproject.training.networks.unmirrored import unmirrored

TARGET = "mlopsproject.training.networks."
NETWORKS: list[dict[str, Any]] = [
    {"_target_": TARGET + "ReferenceCNN", "filters": [4, 8], "hidden": 16},
    {"_target_": TARGET + "SEConvNet", "widths": [8, 16], "stem": 4},
    {"_target_": TARGET + "SEConvNet", "widths": [8, 16], "stem": 0, "stage_dropout": 0.1},
    {"_target_": TARGET + "ResidualNet", "widths": [8, 16], "blocks": [0, 1], "stem": 4, "work_size": 32},
    {"_target_": TARGET + "ResidualNet", "widths": [8, 16], "blocks": [1, 1], "gates": True, "stage_dropout": 0.1},
    {"_target_": TARGET + "ResidualNet", "widths": [8, 16], "blocks": [0, 1], "stem": 4, "stem_stride": 1},
    {"_target_": TARGET + "MiniXception", "widths": [8, 16]},
    {"_target_": TARGET + "StackedNet", "layers": [{"conv": 4, "norm": True}, {"pool": 2}, {"dropout": 0.1}]},
    {"_target_": TARGET + "StackedNet", "layers": [{"conv": 4, "kernel": 5}, {"pool": 2}, {"dense": 16, "norm": True}]},
]


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 20, 48])
def test_a_network_maps_pictures_of_any_size_to_embeddings_and_logits(
    model: dict[str, Any], channels: int, size: int
) -> None:
    network = build_network(model, classes=7, channels=channels, size=size).eval()
    pictures = torch.rand(3, channels, size, size)
    with torch.no_grad():
        embedding = network.embed(pictures)
        logits = network(pictures)
        assert torch.equal(network.classify(embedding), logits)
    assert logits.shape == (3, 7)
    assert embedding.shape == (3, network.head.in_features)


def test_the_reference_cnn_has_266_thousand_parameters() -> None:
    network = ReferenceCNN(classes=5, channels=1, size=64)
    # Convolutions 40 + 296 + 1,168; hidden 1,024 x 256 + 256; head 256 x 5 + 5.
    assert count_parameters(network) == 40 + 296 + 1_168 + 262_400 + 1_285 == 265_189


def test_the_default_network_has_0_8_million_parameters_and_40_million_multiply_adds() -> None:
    network = ResidualNet(classes=7, channels=1, size=64)
    assert 0.75e6 < count_parameters(network) < 0.8e6
    assert 39e6 < count_macs(network, 1, 64) < 41e6


@pytest.mark.parametrize("small", [16, 24, 32, 48])
def test_shrinking_gives_back_what_pillow_enlarged(small: int) -> None:
    # Smooth, so that Pillow's rounding to whole gray values is all that is lost.
    y, x = np.mgrid[0 : 1 : small * 1j, 0 : 1 : small * 1j]
    picture = (127 + 60 * np.sin(5 * x) * np.cos(7 * y)).astype(np.uint8)
    enlarged = np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR))
    shrunk = Shrink(64, small)(torch.from_numpy(enlarged.copy()).float()[None, None])
    assert np.abs(shrunk[0, 0].numpy() - picture).max() < 3


def test_shrinking_keeps_gray_and_refuses_to_enlarge() -> None:
    assert torch.allclose(Shrink(64, 48)(torch.full((2, 3, 64, 64), 0.7)), torch.full((2, 3, 48, 48), 0.7), atol=1e-5)
    with pytest.raises(ValueError, match="48 x 48 pixels cannot be shrunk to 64 x 64"):
        Shrink(48, 64)


def test_a_residual_network_computes_at_its_work_size_and_never_enlarges() -> None:
    at_48 = ResidualNet(classes=5, channels=1, size=48)
    shrinking = 48 * 64 * 64 + 48 * 48 * 64
    assert count_macs(ResidualNet(classes=5, channels=1, size=64), 1, 64) == count_macs(at_48, 1, 48) + shrinking
    assert count_macs(ResidualNet(classes=5, channels=1, size=32), 1, 32) < count_macs(at_48, 1, 48)
    full = ResidualNet(classes=5, channels=1, size=64, work_size=0)
    assert count_macs(full, 1, 64) > 1.7 * count_macs(at_48, 1, 48)


def test_a_stem_of_stride_1_keeps_the_full_resolution_for_the_first_stage() -> None:
    halved, full = (
        ResidualNet(classes=5, channels=1, size=16, widths=(8,), blocks=(0,), stem=4, stem_stride=stride)
        for stride in (2, 1)
    )
    picture = torch.rand(1, 1, 16, 16)
    assert halved.stages(picture).shape[-2:] == (8, 8)
    assert full.stages(picture).shape[-2:] == (16, 16)
    with pytest.raises(ConfigError, match="stem_stride=3 must be 1 or 2"):
        build_network(NETWORKS[3] | {"stem_stride": 3}, classes=5, channels=1, size=48)


def test_residual_blocks_begin_as_the_identity() -> None:
    block = ResidualBlock(8, gate=False).eval()
    features = torch.rand(2, 8, 6, 6)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize(
    "wrong", [{"stem": 0}, {"widths": [8, 0]}, {"blocks": [1, -1]}, {"work_size": -5}, {"widths": [], "blocks": []}]
)
def test_numbers_that_build_no_network_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be at least"):
        build_network(NETWORKS[3] | wrong, classes=5, channels=1, size=48)


def test_a_work_size_too_small_for_the_stages_is_named() -> None:
    with pytest.raises(ConfigError, match="3 x 3 pixels are too small to be halved 2 times"):
        build_network(NETWORKS[3] | {"work_size": 3}, classes=5, channels=1, size=48)


def test_shrinking_stays_exact_under_autocast() -> None:
    picture = torch.rand(1, 1, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Shrink(64, 48)(picture), Shrink(64, 48)(picture.float()))
        lowered = Shrink(64, 48)(picture)
    assert torch.equal(lowered, Shrink(64, 48)(picture))


def test_stages_without_their_number_of_blocks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"widths=\[8, 16\] and blocks=\[1\] must be equally long"):
        build_network(NETWORKS[3] | {"blocks": [1]}, classes=5, channels=1, size=48)


def test_macs_are_counted_for_one_picture_and_leave_the_network_as_it_was() -> None:
    network = ReferenceCNN(classes=5, channels=1, size=16, filters=(4,), hidden=8).train()
    # 4 filters of 9 weights at 16 x 16 places, 256 x 8, 8 x 5.
    assert count_macs(network, 1, 16) == 4 * 9 * 256 + 4 * 64 * 8 + 8 * 5
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_dropout_acts_only_while_training() -> None:
    network = SEConvNet(classes=5, channels=1, size=16, widths=(8,), dropout=0.5)
    pictures = torch.rand(4, 1, 16, 16)
    network.eval()
    assert torch.equal(network(pictures), network(pictures))
    network.train()
    assert not torch.equal(network(pictures), network(pictures))


@pytest.mark.parametrize(
    ("model", "size"), [(NETWORKS[0] | {"filters": [4] * 5}, 16), (NETWORKS[1], 2), (NETWORKS[3], 3)]
)
def test_a_picture_too_small_for_the_network_is_refused(model: dict[str, Any], size: int) -> None:
    with pytest.raises(ConfigError, match=r"too small"):
        build_network(model, classes=5, channels=1, size=size)


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "subprocess.run", "", "mlopsprojectx.Thing"])
def test_the_factory_builds_only_what_training_needs(target: str) -> None:
    with pytest.raises(ConfigError, match="may not be built from a config"):
        build({"_target_": target})


def test_an_argument_that_the_network_does_not_take_is_named() -> None:
    with pytest.raises(ConfigError, match=r"ReferenceCNN.*depth"):
        build_network(NETWORKS[0] | {"depth": 3}, classes=5, channels=1, size=16)


def test_a_target_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="ReferenceCNNN"):
        build_network({"_target_": TARGET + "ReferenceCNNN"}, classes=5, channels=1, size=16)


def test_a_target_that_is_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a mlopsproject Network"):
        build_network({"_target_": "torch.nn.Identity"}, classes=5, channels=1, size=16)


def _mirrored_network(**options: Any) -> ResidualNet:
    """One whose weights and statistics are not what they begin as."""
    torch.manual_seed(3)
    network = ResidualNet(classes=3, channels=1, size=24, widths=(8, 16), blocks=(1, 1), stem=4, mirror=True, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    network.train()(torch.rand(8, 1, 24, 24))
    return network


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_a_mirror_network_answers_mirror_images_alike_but_not_upside_down_ones(
    training: bool, memory_format: torch.memory_format, stem_stride: int
) -> None:
    network = _mirrored_network(dropout=0.0, stem_stride=stem_stride).to(memory_format=memory_format).train(training)
    pictures = torch.rand(6, 1, 24, 24) * torch.linspace(0, 9, 24)[:, None]  # brighter towards the bottom
    with torch.no_grad():
        straight, mirrored, upside_down = (network(images) for images in (pictures, pictures.flip(3), pictures.flip(2)))
    assert torch.allclose(straight, mirrored, atol=1e-5)
    assert not torch.allclose(straight, upside_down, atol=1e-3)


def test_a_mirror_network_computes_as_much_with_half_as_many_weights() -> None:
    plain, mirror = (ResidualNet(classes=7, channels=1, size=64, mirror=mirror) for mirror in (False, True))
    assert count_parameters(mirror) == pytest.approx(count_parameters(plain) / 2, rel=0.01)
    assert count_macs(mirror, 1, 64) == pytest.approx(count_macs(plain, 1, 64), rel=0.01)


def test_a_mirror_network_normalises_in_evaluation_as_it_did_in_training() -> None:
    norm = MirrorNorm(6)
    norm.momentum = None  # the statistics are the mean over all batches: here of one
    features = torch.randn(512, 6, 3, 4) * 3 + 1
    trained = norm.train()(features)
    assert torch.allclose(norm.eval()(features), trained, atol=0.01)
    halves = trained.unflatten(1, (2, 3))
    assert torch.allclose(halves.mean((0, 1, 3, 4)), torch.zeros(3), atol=1e-5)


@pytest.mark.parametrize("work_size", [0, 16])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_a_mirror_network_of_ordinary_layers_answers_the_same_from_the_same_weights(
    stem_stride: int, work_size: int
) -> None:
    network = _mirrored_network(stem_stride=stem_stride, work_size=work_size, stage_dropout=0.1).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ordinary = unmirrored(network)
    pictures = torch.randn(5, 1, 24, 24)
    with torch.no_grad():
        assert torch.allclose(ordinary(pictures), network(pictures), atol=1e-5)
        assert torch.allclose(ordinary(pictures[:1]), network(pictures[:1]), atol=1e-5)
    assert count_parameters(ordinary) == count_parameters(network)
    assert {type(module) for module in ordinary.modules()}.isdisjoint({MirrorConv, MirrorNorm})
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_network_without_mirror_layers_is_exported_as_it_is() -> None:
    network = ResidualNet(classes=3, channels=1, size=24, widths=(8, 16), blocks=(0, 1))
    assert unmirrored(network) is network


@pytest.mark.parametrize("wrong", [{"gates": True}, {"stem": 3}, {"widths": (8, 15)}, {"size": 26}])
def test_a_mirror_network_refuses_what_has_no_mirror_image(wrong: dict[str, Any]) -> None:
    options = {"classes": 3, "channels": 1, "size": 24, "widths": (8, 16), "blocks": (0, 1), "mirror": True}
    with pytest.raises(ValueError, match="mirror goes without gates"):
        ResidualNet(**(options | wrong))


def published(name: str, **changes: object) -> nn.Module:
    """A network of `configs/model/` for seven classes of 48 x 48 gray pixels."""
    config = values(load_config("train", [f"model={name}"]))["model"]
    return build_network({**config, **changes}, classes=7, channels=1, size=48)


def convolution(before: int, after: int, norm: bool = False) -> int:
    return 9 * before * after + after + 2 * after * norm


def dense(before: int, after: int, norm: bool = False) -> int:
    return before * after + after + 2 * after * norm


def test_dense1024_has_the_published_number_of_parameters() -> None:
    convolutions = sum(convolution(*pair) for pair in ((1, 32), (32, 64), (64, 128), (128, 128)))
    # Without padding 48 pixels become 46, 44, 22, 20, 10, 8 and 4.
    expected = convolutions + dense(4 * 4 * 128, 1024) + dense(1024, 7)
    assert count_parameters(published("dense1024")) == expected == 2_345_607


@pytest.mark.parametrize("norm", [True, False])
def test_sixconv_has_the_parameters_of_its_description_with_and_without_norm(norm: bool) -> None:
    pairs = ((1, 32), (32, 64), (64, 128), (128, 128), (128, 256), (256, 256))
    convolutions = sum(convolution(*pair, norm) for pair in pairs)
    expected = convolutions + dense(6 * 6 * 256, 2048, norm) + dense(2048, 7)
    assert count_parameters(published("sixconv", norm=norm)) == expected
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in published("sixconv", norm=norm).modules()) == norm


def test_dropout_can_be_left_out_of_a_stack() -> None:
    assert sum(isinstance(layer, nn.Dropout) for layer in published("sixconv").modules()) == 4
    assert not any(isinstance(layer, nn.Dropout) for layer in published("sixconv", dropout=False).modules())


def test_mini_xception_has_the_published_number_of_parameters_and_ends_as_the_paper_does() -> None:
    network = published("mini_xception").eval()
    assert isinstance(network, MiniXception)
    assert count_parameters(network) == 56_951
    last = nn.Conv2d(128, 7, 3, padding=1)
    with torch.no_grad():
        # The head has a column for each channel of each shift.
        last.weight.copy_(network.head.weight.view(7, 3, 3, 128).permute(0, 3, 1, 2))
        last.bias.copy_(network.head.bias)
        pictures = torch.rand(2, 1, 48, 48)
        assert torch.allclose(network(pictures), last(network.features(pictures)).mean((2, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([{"cnov": 32}], r"layers\[0\] is .*a layer has one of: conv, pool, dropout, dense"),
        ([{"conv": 32, "dense": 5}], "a layer has one of"),
        ([{"conv": 32, "stride": 2}], "conv has no option stride"),
        ([{"conv": 4}, {"dropout": 1.5}], r"layers\[1\]: dropout=1.5 is not possible"),
        ([{"conv": "wide"}], "conv=wide is not possible"),
        ([{"dense": 4}, {"conv": 4}], "a convolution cannot follow a dense layer"),
        ([{"pool": 4}] * 4, "nothing is left of 48 x 48 pixels"),
    ],
)
def test_a_stack_that_is_not_possible_says_where(layers: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StackedNet(classes=7, channels=1, size=48, layers=layers)
    with pytest.raises(ConfigError, match=said):
        build_network({"_target_": TARGET + "StackedNet", "layers": layers}, classes=7, channels=1, size=48)
