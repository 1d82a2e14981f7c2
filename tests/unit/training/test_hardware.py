"""How a run settles on a precision: by the machine, said aloud, never silently something else."""

from __future__ import annotations

import logging

import pytest
import torch

from mlopsproject.core.errors import ConfigError
from mlopsproject.training import hardware
from mlopsproject.training.hardware import choose_compute, cpu_has_bf16


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_takes_bf16_only_where_the_cpu_computes_in_it_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, has_bf16: bool, precision: str
) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: has_bf16)
    with caplog.at_level(logging.INFO, logger="mlopsproject"):
        compute = choose_compute("cpu")
    assert compute.precision == precision
    assert compute.channels_last
    assert precision in caplog.text
    assert "auto" in caplog.text
    assert "channels_last" in caplog.text


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_bf16_is_seen_by_the_cpus_own_capabilities(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True})
    assert cpu_has_bf16()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: False})
    assert not cpu_has_bf16()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_configured_precision_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: precision == "32-true")
    compute = choose_compute("cpu", precision, channels_last=False)
    assert (compute.precision, compute.channels_last, compute.reason) == (precision, False, "as configured")


def test_an_unknown_precision_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.precision='fp8'.*auto, 32-true, bf16-mixed"):
        choose_compute("cpu", "fp8")


@pytest.mark.parametrize("precision", ["auto", "32-true"])
def test_a_gpu_asked_for_and_absent_is_an_error_not_a_cpu(no_gpu: None, precision: str) -> None:
    with pytest.raises(ConfigError, match=r"no CUDA GPU.*trainer=cpu"):
        choose_compute("gpu", precision)


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_computes_in_half_precision(monkeypatch: pytest.MonkeyPatch, has_bf16: bool, precision: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    compute = choose_compute("gpu")
    assert (compute.precision, compute.reason) == (precision, "auto: Some GPU")


def test_half_precision_of_gpus_is_refused_on_the_cpu() -> None:
    with pytest.raises(ConfigError, match=r"16-mixed.*bf16-mixed"):
        choose_compute("cpu", "16-mixed")


def test_compiling_without_a_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"C\+\+ compiler"):
        choose_compute("cpu", compile=True)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: "/usr/bin/g++")
    assert choose_compute("cpu", compile=True).compile


@pytest.mark.parametrize("accelerator", ["tpu", "cuda0", None])
def test_an_unknown_accelerator_is_refused(accelerator: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.accelerator"):
        choose_compute(accelerator)
