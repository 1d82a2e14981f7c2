"""Airflow's environment, once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.airflow.airflow import install


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that Airflow is installed for."""
    return install()
