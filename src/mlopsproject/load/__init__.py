"""Measuring a served API: load test and serving benchmark."""

from typing import Final

#: Address of the servers that a measurement starts.
HOST: Final = "127.0.0.1"
