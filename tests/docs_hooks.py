"""The modules that make parts of the documentation when its site is built, as MkDocs imports them."""

from __future__ import annotations

import sys

from tests.docs_blocks import ROOT

sys.path.insert(0, str(ROOT / "docs/hooks"))

import config_reference  # found in that folder
import generate
import http_reference
import layout
import model_cards
import settings_reference

__all__ = ["config_reference", "generate", "http_reference", "layout", "model_cards", "settings_reference"]
