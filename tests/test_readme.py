"""The README is true: its tables against the code and the cards, its commands by running them."""

import dataclasses
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import requests

from serving.api.v2.protocol import is_v2
from serving.app import create_app
from serving.model.classifier import Classifier
from serving.settings import Settings, variable
from training import evaluate, export
from training.lecture import __main__ as lecture

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(first_heading, text=README):
    """Return the cells of each row of the table whose first column has this heading."""
    table = re.search(rf"^\| {first_heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"no table that starts with {first_heading}"
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table[1].splitlines()]


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    in_tables = re.findall(r"\| `((?:\.venv|make)[^`]+)` \|", README)
    return [line for block in blocks for line in block.splitlines() if line] + in_tables


def test_the_model_table_says_what_the_cards_say(all_models):
    for name, data, network, parameters, accuracy, error, labels, auroc, size in rows("name"):
        file = next((all_models / name.strip("`")).glob("*/model.onnx"))
        card = Classifier.open(file).card
        assert [data, network, parameters] == [card.dataset, card.network, f"{card.parameters:,}"]
        assert [accuracy, error] == [f"{card.metrics.accuracy:.2%}", f"{card.metrics.ece:.4f}"]
        least = f"{min(card.novelty.auroc.values()):.3f}" if card.novelty else "none"
        assert [labels, auroc] == [f"{card.metrics.set_size:.2f}", least]
        assert size == f"{file.stat().st_size / 1e6:.2f} MB"
        assert card.metrics.n == (5_000 if card.name == "router" else 10_000)


def test_every_committed_model_is_in_the_table(all_models):
    assert {row[0].strip("`") for row in rows("name")} == {path.name for path in all_models.iterdir()}


def test_the_endpoint_table_is_the_list_of_routes(models):
    documented = {call for row in rows("call") for call in re.findall(r"`(\w+ [^`]+)`", row[0])}

    app = create_app(Settings(models=str(models)))

    rules = [rule for rule in app.url_map.iter_rules() if not is_v2(rule.rule)]  # those are listed in docs/v2.md
    methods = {rule.rule: (rule.methods or set()) - {"HEAD", "OPTIONS"} for rule in rules}
    assert documented == {f"{method} {rule}" for rule, allowed in methods.items() for method in allowed}


def test_the_tables_of_settings_have_every_setting_and_its_default():
    computed = {"THIMBLE_WORKERS": "usable cores"}
    tables = rows("variable") + rows("variable", (ROOT / "docs/operations.md").read_text())
    documented = {row[0].strip("`"): row[1].strip("`") for row in tables}

    defaults = {
        variable(field.name): ""
        if field.default in (None, (), frozenset())
        else f"{field.default:g}"
        if isinstance(field.default, float)
        else str(field.default).lower()
        if isinstance(field.default, bool)
        else str(field.default)
        for field in dataclasses.fields(Settings)
    }

    assert documented == defaults | computed


def roughly(answer):
    """Return a JSON answer with its numbers to four digits: another processor adds up in another order."""
    return json.loads(answer, parse_float=lambda digits: round(float(digits), 4))


def test_the_first_curl_gets_the_answer_that_is_printed(strong_server):
    curl = next(command for command in commands() if command.startswith("curl"))
    printed = re.search(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]

    _, option, file, url = shlex.split(curl)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    upload = (ROOT / file.removeprefix("@")).read_bytes()
    answer = requests.post(url.replace("http://127.0.0.1:8000", strong_server.url), upload, headers=headers, timeout=20)

    assert option == "--data-binary"
    assert roughly(answer.text) == roughly(printed)


def test_the_refusal_that_is_printed_is_the_one_that_comes(client):
    printed = json.loads(re.findall(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1])

    problem = client.post("/classify", data=b"hello", content_type="image/png").get_json()

    assert problem | {"detail": "…"} == printed


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("make ")])
def test_each_make_target_exists(command):
    planned = subprocess.run(["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True)

    assert planned.returncode == 0, planned.stderr


@pytest.mark.parametrize("command", [command for command in commands() if " -m training." in command])
def test_each_training_command_has_the_options_that_it_is_given(command, capsys):
    module, *arguments = shlex.split(command)[2:]

    modules = {"training.export": export, "training.evaluate": evaluate, "training.lecture": lecture}
    with pytest.raises(SystemExit) as ended:
        modules[module].main([*arguments, "--help"])

    assert ended.value.code == 0
    assert "usage: python -m " + module in capsys.readouterr().out


def test_the_readme_is_short_enough_to_be_read():
    assert len(README.splitlines()) <= 150
