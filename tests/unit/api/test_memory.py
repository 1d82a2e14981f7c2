"""The allocator's settings."""

from __future__ import annotations

import ctypes
import platform

import pytest

from mlopsproject.api.memory import return_freed_memory


def test_glibc_takes_the_settings_and_other_systems_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert return_freed_memory() == (platform.libc_ver()[0] == "glibc")

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not return_freed_memory()
