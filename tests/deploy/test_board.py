"""The dashboard and the alerts query only metrics that the service has."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.app import create_app
from serving.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
PANELS = {panel["id"]: panel for panel in DASHBOARD["panels"]}
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
TARGETS = [(panel, target) for panel in PANELS.values() for target in panel.get("targets", [])]
DASHBOARD_QUERIES = [target["expr"] for _, target in TARGETS]
VARIABLE_QUERIES = [
    re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])[1]
    for variable in VARIABLES.values()
    if variable["type"] == "query"
]
ADDED_LABELS = {"job", "instance"}  # labels that Prometheus adds to everything


@pytest.fixture(scope="module")
def counted(models, image):
    """Return the metrics after an answer and a refusal, each with its labels."""
    client = create_app(Settings(models=str(models))).test_client()
    client.post("/classify", data=image("bag"))
    client.post("/classify", data=b"no image")
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {sample.name: {*sample.labels} for family in families for sample in family.samples}


@pytest.fixture(scope="module")
def known(counted):
    """Return the metrics that a query may name: those of the service, and those that the rules record."""
    recorded = {rule["record"]: labels_kept(rule["expr"]) for rule in RULES if "record" in rule}
    return counted | recorded


def parsed(expression):
    """Return the parts of an expression; a variable as a length of time stands for five minutes."""
    parts = []
    promql_parser.walk(promql_parser.parse(re.sub(r"\$\w+(?=\])", "5m", expression)), parts.append)
    return parts


def selectors(expression):
    return [part for part in parsed(expression) if isinstance(part, promql_parser.VectorSelector)]


def labels_kept(expression):
    """Return the labels by which an expression aggregates."""
    sums = [part for part in parsed(expression) if isinstance(part, promql_parser.AggregateExpr)]
    return {label for part in sums if part.modifier for label in part.modifier.labels}


def numbers(expression):
    return {part.val for part in parsed(expression) if isinstance(part, promql_parser.NumberLiteral)}


@pytest.mark.parametrize("expression", [*DASHBOARD_QUERIES, *VARIABLE_QUERIES, *(rule["expr"] for rule in RULES)])
def test_a_query_names_existing_metrics_and_their_labels(expression, known):
    asked = selectors(expression)

    assert asked
    assert {selector.name for selector in asked} <= known.keys()
    for selector in asked:
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched | labels_kept(expression) <= known[selector.name] | ADDED_LABELS


@pytest.mark.parametrize("expression", DASHBOARD_QUERIES)
def test_a_query_of_the_dashboard_uses_its_variables(expression):
    used = set(re.findall(r"\$(\w+)", expression))

    assert used
    assert {name for name in used if not name.startswith("__")} <= VARIABLES.keys()


def test_a_legend_names_labels_of_its_query():
    legends = [(target["expr"], set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))) for _, target in TARGETS]

    assert [named for expression, named in legends if not named <= labels_kept(expression)] == []


def test_every_panel_queries_the_chosen_source_and_has_its_own_id():
    sources = {json.dumps(holder["datasource"]) for panel, target in TARGETS for holder in (panel, target)}

    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    assert len(PANELS) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("rule", [rule for rule in RULES if "alert" in rule], ids=lambda rule: rule["alert"])
def test_a_panel_shows_the_limit_of_each_alert(rule):
    (panel,) = [panel for panel in PANELS.values() if rule["alert"] in panel.get("description", "")]
    shown = {number for target in panel["targets"] for number in numbers(target["expr"])}
    steps = {step["value"] for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])}

    assert numbers(rule["expr"])
    assert numbers(rule["expr"]) <= shown | steps


@pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is not installed")
def test_the_alerts_fire_when_they_should():
    subprocess.run(["promtool", "test", "rules", "alerts.test.yaml"], cwd=DEPLOY, check=True)
