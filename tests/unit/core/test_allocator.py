"""The allocator's thresholds."""

from __future__ import annotations

import ctypes
import platform

import pytest

from mlopsproject.core.allocator import MMAP_THRESHOLD, TRIM_THRESHOLD, set_thresholds


def test_glibc_takes_thresholds_and_other_systems_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {MMAP_THRESHOLD: 128 << 10, TRIM_THRESHOLD: 128 << 10}
    assert set_thresholds(usual) == (platform.libc_ver()[0] == "glibc")

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not set_thresholds(usual)
