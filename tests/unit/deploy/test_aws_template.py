"""The CloudFormation template of the Lambda function: valid, and with no more rights than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cfnlint import decode
from cfnlint.api import lint_file

from mlopsproject.aws.function import PATHS

TEMPLATE = Path(__file__).parents[3] / "deploy/aws/template.yaml"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    document, problems = decode.decode(str(TEMPLATE))
    assert problems == []
    assert document is not None
    return document


def test_cfn_lint_finds_nothing() -> None:
    assert lint_file(TEMPLATE) == []


def test_cfn_lint_would_find_a_typo(tmp_path: Path) -> None:
    wrong = tmp_path / "template.yaml"
    wrong.write_text(TEMPLATE.read_text(encoding="utf-8").replace("MemorySize: !Ref", "MemorySise: !Ref"))
    assert any("MemorySise" in problem.message for problem in lint_file(wrong))


def test_the_role_may_write_its_log_and_nothing_else(template) -> None:
    role = template["Resources"]["Role"]["Properties"]
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == {"Fn::GetAtt": ["FunctionLogs", "Arn"]}


def test_strangers_are_refused_unless_asked_otherwise_and_costs_are_bounded(template) -> None:
    assert template["Parameters"]["Authorization"]["Default"] == "AWS_IAM"
    resources = template["Resources"]
    # New accounts have too few to reserve any.
    assert template["Parameters"]["MaxConcurrency"]["Default"] == 0
    assert resources["Function"]["Properties"]["ReservedConcurrentExecutions"]["Fn::If"][0] == "HasMaxConcurrency"
    throttling = resources["Stage"]["Properties"]["DefaultRouteSettings"]
    assert {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(throttling)
    for logs in ("FunctionLogs", "ApiLogs"):
        assert "RetentionInDays" in resources[logs]["Properties"]


def test_routes_are_paths_that_the_function_knows(template) -> None:
    routes = [each["Properties"] for each in template["Resources"].values() if each["Type"].endswith("::Route")]
    assert {route["RouteKey"].split()[1] for route in routes} == set(PATHS) - {"/"}
    assert all(route["AuthorizationType"] == {"Ref": "Authorization"} for route in routes)
