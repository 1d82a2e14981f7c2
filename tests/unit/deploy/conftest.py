"""Lets the tests import `deploy.gcp`, which is run from the root of the repository and is no part of the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
