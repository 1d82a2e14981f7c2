"""From a trained network to the files of a bundle: ONNX in fp32 and int8, and the weights."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mlopsproject.core.errors import BundleError
from mlopsproject.core.preprocess import normalise
from mlopsproject.core.spec import InputSpec
from mlopsproject.training.networks import Network

OPSET = 20


class _WithEmbedding(nn.Module):
    """A network that also hands out its embedding, as the bundle's ONNX contract asks."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.network.embed(image)
        return self.network.classify(embedding), embedding


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' progress chatter and deprecation notes off the terminal."""
    levels = {name: logging.getLogger(name).level for name in ("onnxscript", "onnx_ir", "torch.onnx", "root")}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def export_onnx(network: Network, spec: InputSpec, path: Path) -> None:
    """Write a network as ONNX with a dynamic batch.

    Args:
        network: trained; exported in evaluation mode, on the CPU, in fp32.
        spec: its input.
        path: of the file; input `image` float32 `[N, C, H, W]`, outputs `logits` `[N, K]`, `embedding` `[N, E]`.
    """
    model = _WithEmbedding(network).float().cpu().eval().to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, spec.channels, spec.size, spec.size)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["image"],
            output_names=["logits", "embedding"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    # The exporter notes source lines of this machine beside every node.
    for node in proto.graph.node:
        del node.metadata_props[:]
    del proto.graph.metadata_props[:]
    onnx.save(proto, path)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Feeds normalised training pictures to the calibrator."""

    def __init__(self, images: NDArray[np.uint8], spec: InputSpec, batch_size: int = 64) -> None:
        self._batches = (
            {"image": normalise(images[start : start + batch_size], spec.mean, spec.std)}
            for start in range(0, len(images), batch_size)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def quantise_onnx(source: Path, target: Path, calibration: NDArray[np.uint8], spec: InputSpec) -> None:
    """Write an int8 copy of an ONNX network (static QDQ, one scale per output channel).

    Weights keep 7 bits: on CPUs without VNNI, products of 8-bit weights and activations overflow their 16-bit sums
    (ONNX Runtime's documentation of `reduce_range`), and a bundle must give the same answers everywhere.

    Args:
        source: the fp32 file.
        target: where the int8 file goes.
        calibration: training pictures, uint8 `[N, C, H, W]`, whose activations set the ranges.
        spec: the network's input.
    """
    prepared = target.with_suffix(".prepared.onnx")
    try:
        with _quiet():
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Batches(calibration, spec),
                # Resizing by matrices is part of the preprocessing: it must stay exact.
                nodes_to_exclude=[node.name for node in onnx.load(prepared).graph.node if node.op_type == "MatMul"],
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
            )
    finally:
        prepared.unlink(missing_ok=True)


def check_finite(network: Network) -> None:
    """Refuse a network that would answer nothing but NaN.

    Raises:
        BundleError: naming the first weights that are not finite.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BundleError(
                f"The network's {name} holds NaN or infinite values: its training diverged.", "Train with a lower lr=."
            )


def save_weights(network: Network, path: Path) -> None:
    """Write a network's weights and buffers as safetensors."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, path)
    # safetensors keeps the file to its owner, who may not be the user that a container runs as.
    path.chmod(0o644)


def load_weights(network: Network, path: Path, *, source: str, classes: Sequence[str], known: Sequence[str]) -> None:
    """Start a network from a bundle's weights.

    The head's rows of classes that the bundle knows are taken over; those of other classes are left as they are.

    Args:
        network: to fill.
        path: a bundle's `weights.safetensors`.
        source: name of the bundle, for messages.
        classes: of the network.
        known: classes of the bundle.

    Raises:
        BundleError: if anything that should be filled differs.
    """
    weights, own = load_file(path), network.state_dict()
    odd = [
        name
        for name in own
        if name not in weights or weights[name].shape[_heads(name) :] != own[name].shape[_heads(name) :]
    ]
    odd = sorted(odd) + sorted(set(weights) - set(own))
    if odd:
        raise BundleError(
            f"model.init_from: {source} holds another architecture (first difference: {odd[0]}).",
            "Use the model it was trained with, or another bundle.",
        )
    shared = [name for name in classes if name in known]
    mine, theirs = [list(classes).index(name) for name in shared], [list(known).index(name) for name in shared]
    for name in own:
        if _heads(name):
            filled = own[name].clone()
            filled[mine] = weights[name][theirs]
            weights[name] = filled
    network.load_state_dict(weights)


def _heads(name: str) -> int:
    """1 for the head's tensors, which have a row for each class, else 0: how many dimensions may differ."""
    return int(name.startswith("head."))
