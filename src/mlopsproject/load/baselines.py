"""Baselines for the API, plain servers of the same network: `python -m mlopsproject.load.baselines minimal 8001 …`.

Each answers the upload of one face with its label and probabilities, and does nothing else: no checks, no log, no
metrics, no limits.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from starlette.types import Receive, Scope, Send

from mlopsproject.core.bundle import Bundle, open_bundle
from mlopsproject.load import HOST

PATH: Final = "/predict/"
_FIXED: Final = b'{"predicted_emotion":"happy"}'


class Network:
    """A bundle's network in ONNX Runtime, with one thread.

    Args:
        bundle: as opened.
        precision: `fp32` or `int8`.
    """

    def __init__(self, bundle: Bundle, precision: Any) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(bundle.model_file(precision), options, providers=["CPUExecutionProvider"])
        self._classes = bundle.spec.classes
        entry = bundle.spec.input
        self._mode = "L" if entry.channels == 1 else "RGB"
        self._size = (entry.size, entry.size)
        self._mean, self._std = (np.reshape(np.array(v, np.float32), (-1, 1, 1)) for v in (entry.mean, entry.std))
        self._temperature = bundle.spec.precisions[precision].temperature

    def answer(self, content: bytes) -> dict[str, Any]:
        """Recognise the apparent expression in a picture of one face."""
        image = Image.open(io.BytesIO(content)).convert(self._mode).resize(self._size)
        pixels = np.atleast_3d(np.asarray(image, np.float32)).transpose(2, 0, 1)
        values = (pixels / np.float32(255) - self._mean) / self._std
        (logits,) = self._session.run(["logits"], {"image": values[None]})
        powers = np.exp((logits[0] - logits[0].max()) / self._temperature)
        probabilities = (powers / powers.sum()).tolist()
        label = self._classes[int(np.argmax(powers))]
        return {"predicted_emotion": label, "probabilities": dict(zip(self._classes, probabilities, strict=True))}


def minimal_app(bundle: Bundle, precision: str) -> FastAPI:
    """A FastAPI route that decodes an upload and runs a network that is loaded once."""
    network = Network(bundle, precision)
    app = FastAPI()

    @app.post(PATH)
    async def predict(data: UploadFile):  # type: ignore[no-untyped-def]  # a type would be validated
        return network.answer(await data.read())

    return app


def reload_app(bundle: Bundle, precision: str) -> FastAPI:
    """A FastAPI route that loads the network for each request, as simple projects do."""
    app = FastAPI()

    @app.post(PATH)
    async def predict(data: UploadFile):  # type: ignore[no-untyped-def]  # a type would be validated
        return Network(bundle, precision).answer(await data.read())

    return app


async def trivial_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Take any upload and give a fixed answer: what the client itself can do at most."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_FIXED)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _FIXED})


def main() -> None:
    """Serve the baseline named by the arguments: name, port, folder of the bundle, precision."""
    name, port, folder, precision = sys.argv[1:]
    bundle = open_bundle(Path(folder), verify=False)
    if name == "litserve":
        # It takes a second to import, which the others need not wait for.
        from mlopsproject.load.litserve_baseline import serve

        serve(bundle, precision, int(port))
        return
    app: Any = (
        {"minimal": minimal_app, "reload": reload_app}[name](bundle, precision) if name != "trivial" else trivial_app
    )
    uvicorn.run(app, host=HOST, port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
