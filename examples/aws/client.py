"""Ask the Lambda function what a face shows: python client.py URL PICTURE [PICTURE ...]. Needs Python alone."""

from __future__ import annotations

import json
import mimetypes
import sys
import urllib.error
import urllib.request
from pathlib import Path


def ask(url: str, picture: Path) -> dict:
    """The answer about a picture, or the problem with it.

    Args:
        url: of the function's HTTP API, up to `/predict`.
        picture: a file.
    """
    headers = {"Content-Type": mimetypes.guess_type(picture.name)[0] or "application/octet-stream"}
    request = urllib.request.Request(url, picture.read_bytes(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)


def main() -> int:
    """Print a line per picture; 1 if any has no answer."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    failed = 0
    for name in sys.argv[2:]:
        answer = ask(sys.argv[1], Path(name))
        doubt = " (uncertain)" if answer.get("uncertain") else ""
        said = answer.get("detail") or f"{answer['predicted_emotion']}, {answer['confidence']:.1%}{doubt}"
        failed += "detail" in answer
        print(f"{name}: {said}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
