"""What this machine computes fastest in: chosen once, logged, never switched silently."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass

import torch

from mlopsproject.core.allocator import MMAP_THRESHOLD, TOP_PAD, TRIM_THRESHOLD, set_thresholds
from mlopsproject.core.checks import check_choice
from mlopsproject.core.errors import ConfigError

log = logging.getLogger(__name__)

_THRESHOLDS = {MMAP_THRESHOLD: 1 << 30, TRIM_THRESHOLD: (1 << 31) - 1, TOP_PAD: 256 << 20}

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Compute:
    """How a run computes: Lightning's precision string, memory layout and compilation, with the reason."""

    precision: str
    channels_last: bool
    compile: bool
    reason: str


def choose_compute(
    accelerator: str,
    precision: str = "auto",
    channels_last: bool = True,
    compile: bool = False,  # noqa: A002
) -> Compute:
    """Settle `precision=auto` for this machine and refuse what it cannot do.

    bf16 pays on CPUs with AVX512-BF16 or AMX (about 3x); elsewhere it is emulated, 10x slower than fp32.

    Args:
        accelerator: `cpu` or `gpu`.
        precision: `auto` or one of Lightning's precision strings.
        channels_last: keep pictures as NHWC in memory, which convolutions prefer.
        compile: compile the network with `torch.compile`.

    Raises:
        ConfigError: for an unknown accelerator or precision, no GPU where one is asked for, or `compile` without a C++
            compiler.
    """
    check_choice("trainer.precision", precision, PRECISIONS)
    check_choice("trainer.accelerator", accelerator, ("cpu", "gpu"))
    if accelerator == "cpu" and precision == "16-mixed":
        raise ConfigError("trainer.precision=16-mixed is for GPUs.", "Use bf16-mixed, 32-true or auto.")
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator=gpu, but PyTorch sees no CUDA GPU.", "Use trainer=cpu.")
    if compile and accelerator == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise ConfigError("trainer.compile=true needs a C++ compiler on the CPU.", "Install g++ or set it to false.")
    if precision != "auto":
        reason = "as configured"
    elif accelerator == "gpu":
        precision = "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        reason = f"auto: {torch.cuda.get_device_name()}"
    elif cpu_has_bf16():
        precision, reason = "bf16-mixed", "auto: this CPU computes in bf16"
    else:
        precision, reason = "32-true", "auto: this CPU has no bf16 instructions"
    compute = Compute(precision, channels_last, compile, reason)
    log.info(
        "Computing in %s (%s), %s%s, %d threads",
        precision,
        reason,
        "channels_last" if channels_last else "channels_first",
        ", compiled" if compile else "",
        torch.get_num_threads(),
    )
    return compute


def keep_freed_memory() -> bool:
    """Let the process keep freed memory instead of returning it to the system and faulting it in again.

    A training step allocates and frees the same large activations over and over; with glibc's default thresholds each
    of them is a fresh mapping whose pages the kernel zeroes. Keeping them saves those page faults.

    Returns:
        See `set_thresholds`.
    """
    return set_thresholds(_THRESHOLDS)


def cpu_has_bf16() -> bool:
    """Whether the CPU has bf16 matrix instructions (AVX512-BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
