"""What int8 leaves in fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from mlopsproject.core.spec import InputSpec
from mlopsproject.training.export import export_onnx, quantise_onnx
from mlopsproject.training.networks import ResidualNet


def test_resizing_in_the_network_is_not_quantised(tmp_path: Path) -> None:
    spec = InputSpec(size=32)
    network = ResidualNet(classes=3, channels=1, size=32, widths=(4, 8), blocks=(0, 1), stem=4, work_size=24)
    export_onnx(network, spec, tmp_path / "model.onnx")
    pictures = np.random.default_rng(0).integers(0, 256, (16, 1, 32, 32), dtype=np.uint8)
    quantise_onnx(tmp_path / "model.onnx", tmp_path / "int8.onnx", pictures, spec)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    matrices = [node for node in graph.node if node.op_type == "MatMul"]
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    assert len(matrices) == 2
    inputs = [made_by.get(name, "constant") for node in matrices for name in node.input]
    assert "DequantizeLinear" not in inputs
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) > 3
