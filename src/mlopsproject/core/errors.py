"""Errors that a user can fix. Entry points print them in one line and exit with their code; any other one is a bug."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar, Final

#: Exit code of what may succeed when it is tried again (`EX_TEMPFAIL` of `sysexits.h`); schedulers do so.
TRY_AGAIN: Final = 75


class UserError(Exception):
    """An error that the user can fix; it names the thing, the value and the fix.

    Args:
        message: what is wrong, naming the file or key and the value found.
        fix: what to do about it, as a sentence or a command; empty if the message says it.

    Attributes:
        exit_code: of a job that ends with this error.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, fix: str = "") -> None:
        self.message = printable(message)
        self.fix = printable(fix)
        super().__init__(f"{self.message} {self.fix}".strip())


class ConfigError(UserError):
    """A wrong config key, group or value."""


class DataError(UserError):
    """A missing, empty, damaged or inconsistent data set, manifest or cache."""


class ImageError(DataError):
    """One picture that cannot be used.

    Args:
        reason: stable identifier in reports and API problems, such as `truncated` or `not_an_image`.
        message: what is wrong with this picture.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        # Pickled between processes.
        return type(self), (self.reason, self.message)


class BundleError(UserError):
    """A missing, damaged or incompatible model bundle or checkpoint."""


class StoreError(UserError):
    """A store (folder, `gs://`, `s3://`) that cannot be reached, read or written."""


class DownloadError(DataError):
    """Data that could not be downloaded just now."""

    exit_code = TRY_AGAIN


class UnreachableError(StoreError):
    """A store that did not answer, or not as it should."""

    exit_code = TRY_AGAIN


def printable(text: str) -> str:
    """Escape the bytes of a file name that are not UTF-8, so that the text can be printed and written."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def first_line(error: BaseException) -> str:
    """First line of an error's message, which may be long in libraries; the name of its type if it is empty."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is most similar to a mistyped one, ignoring case.

    Returns:
        ``"did you mean 'x'?"`` when one is close enough, else ``""``.
    """
    by_lower = {item.lower(): item for item in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"did you mean '{by_lower[close[0]]}'?" if close else ""
