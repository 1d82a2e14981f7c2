"""What the folder monitoring/ names exists in the API, and its files are whole. Real programs read them elsewhere."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlopsproject.api.metrics import Metrics
from mlopsproject.core.bundle import Bundle

FOLDER = Path(__file__).parents[2] / "monitoring"
#: Panels that every Grafana has.
CORE_PANELS = {"row", "stat", "timeseries", "heatmap"}


def load_yaml(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((FOLDER / "grafana/dashboard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return dashboard["panels"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in load_yaml("alerts.yml")["groups"] for rule in group["rules"]]


def alerts() -> list[str]:
    return [rule["alert"] for rule in rules() if "alert" in rule]


def expressions(panels: list[dict[str, Any]]) -> list[str]:
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def known(tiny_bundle: Bundle) -> set[str]:
    """The names of all series that the API or a recording rule makes."""
    metrics = Metrics()
    metrics.use_model(tiny_bundle.spec, "fp32")
    names = {rule["record"] for rule in rules() if "record" in rule}
    for family in metrics.registry.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        names |= {family.name + ending for ending in endings}
    return names


def test_every_metric_that_alerts_and_dashboard_name_exists(known: set[str], dashboard: dict[str, Any]) -> None:
    texts = [*(rule["expr"] for rule in rules()), json.dumps(dashboard)]
    named = {name for text in texts for name in re.findall(r"\bmlopsproject[_:][a-z_:]+", text)}
    assert named
    assert named - known == set()


def test_the_dashboard_shows_every_metric_of_the_api(known: set[str], panels: list[dict[str, Any]]) -> None:
    shown = " ".join(expressions(panels))
    # What a histogram's buckets tell, its sum and count need not tell again.
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known if name.startswith("mlopsproject")}
    bases -= {"mlopsproject:answers"}  # for alerts
    bases -= {"mlopsproject_reference_cumulative_share"}  # in the recorded distance
    assert {base for base in bases if base not in shown} == set()


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        if "alert" not in rule:
            continue
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        assert not rule["annotations"]["summary"].endswith("."), rule["alert"]


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_is_tested_to_fire_and_not_to_fire(alert: str) -> None:
    cases = [
        case
        for test in load_yaml("alerts_test.yml")["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == alert
    ]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


def test_the_tests_of_the_alerts_name_no_other() -> None:
    named = {case["alertname"] for test in load_yaml("alerts_test.yml")["tests"] for case in test["alert_rule_test"]}
    assert named == set(alerts())


def test_prometheus_scrapes_the_api_where_it_listens_by_default_under_the_name_that_alerts_use() -> None:
    config = load_yaml("prometheus.yml")
    (job,) = config["scrape_configs"]
    assert config["rule_files"] == ["alerts.yml"]
    assert job["static_configs"] == [{"targets": ["localhost:8000"]}]
    assert f'up{{job="{job["job_name"]}"}}' in (FOLDER / "alerts.yml").read_text(encoding="utf-8")


def test_panels_have_numbers_titles_and_places_of_their_own(panels: list[dict[str, Any]]) -> None:
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} == CORE_PANELS
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        covered = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not covered & cells, panel["title"]
        cells |= covered


def test_every_panel_asks_the_prometheus_that_is_chosen_for_the_job_that_is_chosen(
    dashboard: dict[str, Any], panels: list[dict[str, Any]]
) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["job"]["datasource"] == chosen
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == chosen
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["datasource"] == chosen
            assert target["legendFormat"], panel["title"]
            assert target["expr"].count("(") == target["expr"].count(")")
            # Another service's series in the same Prometheus are not ours.
            selectors = re.findall(r"\b(?:mlopsproject[_:]\w+|up)\b(\{[^}]*\})?", target["expr"])
            assert all('job="$job"' in selector for selector in selectors), target["expr"]


def test_the_dashboard_belongs_to_no_installation(dashboard: dict[str, Any]) -> None:
    assert dashboard["id"] is None
    assert dashboard["uid"] == "mlopsproject-api"
    assert dashboard["schemaVersion"] >= 39


def test_grafana_is_told_where_prometheus_and_the_dashboard_are() -> None:
    (source,) = load_yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://localhost:9090"
    assert source["jsonData"]["timeInterval"] == load_yaml("prometheus.yml")["global"]["scrape_interval"]
    (provider,) = load_yaml("grafana/provisioning/dashboards/mlopsproject.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
