"""What one person's session keeps: the client and how the service last fared. Nothing is shared between sessions."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from mlopsproject.core.schemas import ModelInfo, Ready
from mlopsproject.frontend.client import ApiClient, ApiError, ReportFile
from mlopsproject.frontend.settings import FrontendSettings

#: Seconds for which an answer of `/ready` is taken as true: a good one, and a bad one.
_FRESH, _SHORT = 10.0, 2.0
_CLIENT, _HEALTH, _MODEL, _FILES = "api_client", "api_health", "api_model", "drift_files"


@dataclass(frozen=True)
class Health:
    """How the service fares.

    Attributes:
        ready: what it says; `None` if it does not answer.
        error: why it does not answer.
        at: when it was asked, by `time.monotonic`.
    """

    ready: Ready | None
    error: ApiError | None
    at: float

    @property
    def state(self) -> str:
        """`ok`, `degraded`, `not_ready` or `down`."""
        return "down" if self.ready is None else self.ready.status

    @property
    def model_version(self) -> str:
        """The model that answers, if it is known."""
        return (self.ready and self.ready.model_version) or ""

    @property
    def reasons(self) -> list[str]:
        """What is not as it should be, a phrase each."""
        if self.ready is None:
            return [str(self.error)] if self.error else []
        return [f"{part}: {text}" for part, text in self.ready.checks.items() if text != "ok"]


def client() -> ApiClient:
    """This session's client of the API.

    Raises:
        ConfigError: for an impossible setting.
    """
    if _CLIENT not in st.session_state:
        st.session_state[_CLIENT] = ApiClient(FrontendSettings.read())
    kept: ApiClient = st.session_state[_CLIENT]
    return kept


def health() -> Health:
    """How the service fares, asked again when the last answer is some seconds old."""
    kept: Health | None = st.session_state.get(_HEALTH)
    if kept is None or time.monotonic() - kept.at > (_FRESH if kept.state == "ok" else _SHORT):
        kept = _ask()
    return kept


def note_down(error: ApiError) -> bool:
    """Take down that the service did not answer a page.

    Args:
        error: what the page got instead.

    Returns:
        Whether that is news, so that the page should be drawn once more.
    """
    kept: Health | None = st.session_state.get(_HEALTH)
    st.session_state[_HEALTH] = Health(None, error, time.monotonic())
    return kept is None or kept.state != "down"


def _ask() -> Health:
    try:
        kept = Health(client().ready(), None, time.monotonic())
    except ApiError as error:
        kept = Health(None, error, time.monotonic())
    st.session_state[_HEALTH] = kept
    return kept


def model() -> ModelInfo | None:
    """The model that answers, asked for once per version; nothing while the service does not say."""
    version = health().model_version
    kept: ModelInfo | None = st.session_state.get(_MODEL)
    if version and (kept is None or kept.model_version != version):
        try:
            kept = client().model()
        except ApiError:
            return None
        st.session_state[_MODEL] = kept
    return kept


def drift_file(identifier: str, name: ReportFile) -> bytes:
    """A file of a drift report, asked for once; those of one report are kept.

    Args:
        identifier: of the report.
        name: which file.

    Raises:
        ApiError: if there is none.
    """
    kept: tuple[str, dict[str, bytes]] | None = st.session_state.get(_FILES)
    if kept is None or kept[0] != identifier:
        kept = st.session_state[_FILES] = (identifier, {})
    if name not in kept[1]:
        kept[1][name] = client().drift_file(identifier, name)
    return kept[1][name]
