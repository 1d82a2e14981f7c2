"""The page of a drift report in a real browser: it works in the sandbox that the API puts it into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from tests.drift_examples import make_report
from tests.e2e.browser import chromium, visit

from mlopsproject.core.drift_reports import PAGE_FILE, DriftReports, report_id
from mlopsproject.load.processes import api_server

pytestmark = pytest.mark.slow


def write_page(path: Path) -> None:
    """Have Evidently compare two columns, one of which has moved."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    rng = np.random.default_rng(0)
    reference, current = (
        pd.DataFrame({"brightness": rng.normal(mean, 1, 200), "contrast": rng.normal(0, 1, 200)}) for mean in (0, 2)
    )
    Report([DataDriftPreset()]).run(current, reference).save_html(str(path))


def test_the_page_of_evidently_works_and_reaches_nothing(make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "store")
    (tmp_path / "run").mkdir()
    write_page(tmp_path / "run" / PAGE_FILE)
    report = make_report(bundle.name)
    DriftReports(tmp_path / "store").publish(report, tmp_path / "run")
    settings = {"MODEL_URI": bundle.name, "MODEL_STORE": tmp_path / "store"}
    with api_server(tmp_path, tmp_path / "api.log", settings) as api, chromium() as browser:
        api.wait_until_ready("/health")
        address = f"http://127.0.0.1:{api.port}/drift/{report_id(report)}/report"
        refused: list[str] = []
        with visit(browser, address, tmp_path) as page:
            page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
            expect(page.get_by_text("Drifted Columns", exact=True)).to_be_visible()
            page.get_by_role("row", name="brightness").get_by_role("button").click()
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
            # Its scripts have an origin of their own: they cannot speak to the API in the reader's name.
            assert page.evaluate("window.origin") == "null"
            assert page.evaluate("fetch('/model').then(() => 'reached', () => 'refused')") == "refused"
        assert [text for text in refused if "/model" not in text] == []
    assert (tmp_path / "page.png").is_file()
