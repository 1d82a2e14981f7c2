"""Ask the Lambda function what a face shows: python client.py URL PICTURE [PICTURE ...]. Needs Python alone."""

from __future__ import annotations

import json
import mimetypes
import sys
import urllib.error
import urllib.request
from pathlib import Path


def ask(url: str, picture: Path) -> str:
    """What a picture shows, in words.

    Args:
        url: of the function's HTTP API, up to `/predict`.
        picture: a file.

    Raises:
        OSError, ValueError: saying why there is no answer.
    """
    headers = {"Content-Type": mimetypes.guess_type(picture.name)[0] or "application/octet-stream"}
    request = urllib.request.Request(url, picture.read_bytes(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        try:
            problem = json.load(error)
        except ValueError:
            problem = {}
        # `detail` is the function's, `message` the gateway's.
        raise ValueError(problem.get("detail") or problem.get("message") or f"status {error.code}") from None
    doubt = " (uncertain)" if answer["uncertain"] else ""
    return f"{answer['predicted_emotion']}, {answer['confidence']:.1%}{doubt}"


def main() -> int:
    """Print a line per picture; 1 if any has no answer."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    failed = 0
    for name in sys.argv[2:]:
        try:
            print(f"{name}: {ask(sys.argv[1], Path(name))}")
        except (OSError, ValueError, KeyError) as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
