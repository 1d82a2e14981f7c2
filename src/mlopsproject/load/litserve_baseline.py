"""LitServe serving the same network."""

from __future__ import annotations

from typing import Any

import litserve  # type: ignore[import-untyped]

from mlopsproject.core.bundle import Bundle
from mlopsproject.load import HOST
from mlopsproject.load.baselines import PATH, Network


class Faces(litserve.LitAPI):  # type: ignore[misc]
    """The same function, in LitServe's steps; all but the form's parsing happens in its worker process.

    Args:
        bundle: as opened.
        precision: `fp32` or `int8`.
    """

    def __init__(self, bundle: Bundle, precision: str) -> None:
        super().__init__(api_path=PATH)
        self._bundle = bundle
        self._precision = precision

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe's signature
        """Load the network in the worker."""
        self.network = Network(self._bundle, self._precision)

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe would read the type
        """Take the file out of the form, which LitServe has parsed."""
        return request["data"].file.read()

    def predict(self, x: bytes) -> dict[str, Any]:
        """Answer one picture."""
        return self.network.answer(x)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Give the answer as it is."""
        return output


def serve(bundle: Bundle, precision: str, port: int) -> None:
    """Serve with one API process, one worker process and the fast queue (ZeroMQ) until stopped."""
    server = litserve.LitServer(Faces(bundle, precision), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host=HOST, port=port, num_api_servers=1, log_level="warning", access_log=False, generate_client_file=False
    )
