"""What an import unpacks at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mlopsproject.core.errors import DataError

_MB: Final = 10**6
_FIX: Final = "If that is right, raise {key}=."


@dataclass(frozen=True)
class Limits:
    """What a source may hold; an import of more is refused.

    Attributes:
        max_files: files, folders of archives and CSV rows.
        max_file_mb: megabytes (a million bytes) of one file in an archive, unpacked.
        max_total_mb: megabytes of all files in an archive together, unpacked.
    """

    max_files: int = 2_000_000
    max_file_mb: int = 1000
    max_total_mb: int = 10_000

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Limits:
        """Take the limits out of the options of an import; those that it does not name are as usual."""
        return cls(**{key: options.get(key, usual) for key, usual in asdict(cls()).items()})

    def check_member(self, archive: Path, name: str, number: int, size: int) -> None:
        """Check what an archive says about a member, before any of it is read.

        Args:
            archive: that holds it.
            name: of the member.
            number: of the member, counted from 1.
            size: that it claims, in bytes.

        Raises:
            DataError: it is one too many, or too large.
        """
        self.check_files(archive, number)
        if size > self.max_file_mb * _MB:
            raise DataError(
                f"{archive} has a member {name} of {size:,} bytes, more than max_file_mb={self.max_file_mb} allows.",
                _FIX.format(key="max_file_mb"),
            )

    def check_total(self, archive: Path, size: int, upto: str = "") -> None:
        """Check how many bytes an archive unpacks to.

        Args:
            archive: that is unpacked.
            size: bytes; those up to a member, if it is not known what follows.
            upto: name of that member.

        Raises:
            DataError: too many.
        """
        if size > self.max_total_mb * _MB:
            raise DataError(
                f"{archive} unpacks to {size:,} bytes{f' up to {upto}' if upto else ''}, "
                f"more than max_total_mb={self.max_total_mb} allows.",
                _FIX.format(key="max_total_mb"),
            )

    def check_files(self, source: Path, number: int) -> None:
        """Check how many files and CSV rows a source has.

        Raises:
            DataError: too many.
        """
        if number > self.max_files:
            raise DataError(
                f"{source} has more files and CSV rows than max_files={self.max_files} allows.",
                _FIX.format(key="max_files"),
            )


USUAL_LIMITS: Final = Limits()
