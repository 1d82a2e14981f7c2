# /// script
# requires-python = ">=3.11"
# dependencies = ["hydra-core>=1.3.8", "litert-torch==0.10.*", "safetensors>=0.5", "torch==2.15.*"]
#
# [tool.uv]
# exclude-newer = "1 week"
# # PyTorch as uv.lock of the project has it, so that uv takes it, and all of CUDA that it links to, from its cache.
# # litert-torch asks for one release less, and xdsl for older typing-extensions than that PyTorch.
# override-dependencies = ["torch==2.15.*", "typing-extensions>=4.13"]
# # Large, and nothing here imports them.
# exclude-dependencies = [
#     "kagglehub", "nvidia-cuda-cccl", "nvidia-cusolver", "nvidia-nvtx", "sentencepiece", "transformers", "triton",
# ]
# ///
"""From a bundle's weights to LiteRT files: a program with packages of its own, which `training/litert.py` runs.

Lock its packages with `uv lock --script src/mlopsproject/training/litert_converter.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from mlopsproject.training.factory import build_network
from mlopsproject.training.networks import count_parameters
from mlopsproject.training.networks.residual import Shrink
from mlopsproject.training.networks.unmirrored import unmirrored

#: Layers with less than this share of the network's weights keep them in fp32. In `production` these are the head and
#: the first six, whose errors all others see: they add 0.14 MB to 0.63 MB, and a quarter of the error is left.
_SMALL = 0.04


class _Named(nn.Module):
    """Gives the file's input and output the names that they have in the bundle's ONNX."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(image)}


def convert(bundle: Path, fp32: Path, int8: Path) -> None:
    """Write a bundle's network in fp32, and with weights of int8 that are computed with in fp32.

    Args:
        bundle: its folder.
        fp32: file to write; input `image` float32 `[1, C, H, W]`, output `logits` `[1, K]`.
        int8: file to write, of the same input and output.
    """
    spec = json.loads((bundle / "spec.json").read_text(encoding="utf-8"))
    channels, size = spec["input"]["channels"], spec["input"]["size"]
    network = build_network(spec["network"], classes=len(spec["classes"]), channels=channels, size=size)
    network.load_state_dict(load_file(bundle / "weights.safetensors"))
    model = _Named(unmirrored(network.eval())).eval()
    litert_torch.convert(model, sample_kwargs={"image": torch.zeros(1, channels, size, size)}).export(str(fp32))
    quantising = quantizer.Quantizer(str(fp32))
    # Layers are named after their classes. Resizing by matrices is part of the preprocessing: it must stay exact.
    others = f"^(?!.*{Shrink.__name__})"
    quantising.update_quantization_recipe(others, qtyping.TFLOperationName.ALL_SUPPORTED, _weights_only(network))
    quantising.quantize().export_model(str(int8))


def _weights_only(network: nn.Module) -> qtyping.OpQuantizationConfig:
    """As `recipe.weight_only_wi8_afp32` of the quantiser, without small layers."""
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
        min_weight_elements=round(_SMALL * count_parameters(network)),
    )


def logits(model: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a file answers.

    Args:
        model: the file.
        inputs: normalised pictures, float32 `[N, C, H, W]`.

    Returns:
        float32 `[N, K]`.
    """
    run = Interpreter(str(model), num_threads=1).get_signature_runner()
    return np.concatenate([run(image=picture[None])["logits"] for picture in inputs])


def main(bundle: str, folder: str) -> None:
    """Convert a bundle, and answer about pictures with what came out.

    Args:
        bundle: its folder.
        folder: with `inputs.npz`, normalised pictures as `image`; gets `model.tflite`, `model.int8.tflite`, and
            `logits.npz`, by precision.
    """
    place = Path(folder)
    models = {"fp32": place / "model.tflite", "int8": place / "model.int8.tflite"}
    convert(Path(bundle), models["fp32"], models["int8"])
    with np.load(place / "inputs.npz") as arrays:
        inputs = arrays["image"]
    answers = {name: logits(path, inputs) for name, path in models.items()}
    np.savez(place / "logits.npz", fp32=answers["fp32"], int8=answers["int8"])


if __name__ == "__main__":
    main(*sys.argv[1:])
