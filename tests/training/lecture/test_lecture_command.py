import importlib
import json
import re
import runpy
import sys

import onnx
import pytest

from training.lecture import __main__ as command
from training.lecture import collapse, xor
from training.networks.base import count_parameters
from training.networks.mlp import MLP


@pytest.mark.trains
def test_the_command_writes_the_report_the_table_and_the_xor_network(finished):
    assert sorted(path.name for path in finished.out.iterdir()) == ["report.html", "table.json", "xor.onnx"]
    assert finished.html.startswith("<!DOCTYPE html>")
    assert xor.run_onnx(onnx.load(finished.out / "xor.onnx")).flatten().tolist() == [0, 1, 1, 0]


@pytest.mark.trains
def test_the_report_has_every_section_and_a_plot_in_most(finished):
    assert finished.html.count("<section id=") == len(command.SECTIONS) + 1
    assert finished.html.count('src="data:image/svg+xml;base64,') >= 12
    assert "with faster recipes" in finished.html


@pytest.mark.trains
def test_json_prints_the_table_and_nothing_more(finished):
    rows = json.loads(finished.printed)

    assert rows == json.loads((finished.out / "table.json").read_text())
    assert all(list(row) == ["item", "lecture", "here", "agrees"] for row in rows)
    assert len({row["item"] for row in rows}) == len(rows)


@pytest.mark.trains
def test_demo_1_has_the_lectures_classes_network_and_figures(finished):
    rows = finished.rows

    assert rows["MLP: the class names"]["agrees"]
    assert rows["MLP: training loss by epoch"]["agrees"]
    assert rows["MLP: training accuracy by epoch"]["lecture"] == [0.8238, 0.8643, 0.8784, 0.8844, 0.8922]
    assert rows["MLP: test accuracy"]["lecture"] == 0.8792
    assert rows["MLP: test loss"]["lecture"] == pytest.approx(0.3378, abs=1e-4)
    assert f"{count_parameters(MLP()):,} weights and biases" in finished.html


@pytest.mark.trains
def test_demo_2_has_the_lectures_tables_and_figures(finished):
    rows = {item: row for item, row in finished.rows.items() if item.startswith("CNN")}

    layers = [row for item, row in rows.items() if "shapes" in item or "parameters" in item]
    assert len(layers) == 6
    assert all(row["agrees"] for row in layers)
    assert rows["CNN: parameters of the base"]["here"] == 56_320
    assert rows["CNN: parameters of the whole"]["here"] == 122_570
    assert rows["CNN: test loss"]["lecture"] == 1.016327
    assert rows["CNN: test accuracy"]["lecture"] == 0.6686


@pytest.mark.trains
def test_an_architecture_is_told_by_its_layers_and_their_units(finished):
    here = finished.rows["Architecture: how it is found"]["here"]

    size = "with [124] layers? of (8|16) units, has"
    assert re.match(f"the best of 6, {size} .+; the worst, {size} ", here)


@pytest.mark.trains
def test_each_activation_function_has_the_lectures_formula(finished):
    formulas = [row for item, row in finished.rows.items() if item.startswith("Formula")]

    assert len(formulas) == 7
    assert all(row["agrees"] for row in formulas)
    assert finished.rows["ReLU: its derivative at 0"]["here"] == 0
    assert finished.rows["Sigmoid: its range"]["agrees"]
    assert finished.rows["Tanh: about the origin"]["agrees"]


@pytest.mark.trains
def test_the_code_that_the_sections_name_exists(finished):
    places = re.findall(r'<p class="code">.+?: (.+)</p>', finished.html)

    names = re.findall("<code>(.+?)</code>", " ".join(places))

    assert len(places) == len(command.SECTIONS)
    for name in names:
        module, attribute = (name if name.startswith("training.") else f"training.lecture.{name}").rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute), name


@pytest.mark.trains
def test_a_person_reads_what_agrees_and_where_the_report_is(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "SECTIONS", (xor.section,))

    assert run(tmp_path, "--full") == 0

    printed = capsys.readouterr().out
    assert "Agrees" in printed
    assert "7 of 7 results agree with the lecture." in printed
    assert f"Written to {tmp_path / 'report.html'}" in printed
    assert "exactly as the lecture trains them" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_log_has_a_line_for_each_section_as_it_begins(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "SECTIONS", (xor.section, collapse.section))

    assert run(tmp_path) == 0

    assert capsys.readouterr().err.splitlines() == ["section 1 of 2: xor", "section 2 of 2: collapse"]


def test_an_unwritable_folder_is_refused_before_the_work(run, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")

    assert run(tmp_path / "file") == 1

    assert f"{tmp_path / 'file'} cannot be written to" in capsys.readouterr().err


def test_the_message_for_missing_data_says_what_to_do(tmp_path, capsys):
    assert command.main(["--data-dir", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1

    message = capsys.readouterr().err
    assert "training.lecture: " in message
    assert "nowhere: no such folder" in message


def test_an_interrupt_ends_with_130_and_writes_no_report(run, tmp_path, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "SECTIONS", (interrupted,))

    assert run(tmp_path) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_python_runs_the_package_as_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training.lecture", "--help"])
    monkeypatch.delitem(sys.modules, "training.lecture.__main__")

    with pytest.raises(SystemExit) as end:
        runpy.run_module("training.lecture", run_name="__main__", alter_sys=True)

    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--out", "--json", "--full", "--data-dir"))
