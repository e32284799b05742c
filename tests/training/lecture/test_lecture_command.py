import json
import os
import subprocess
import sys
from pathlib import Path

import onnx

from training.lecture import __main__ as command
from training.lecture import xor

ROOT = Path(__file__).parents[3]


def test_the_command_writes_the_report_the_table_and_the_xor_network(finished):
    assert sorted(path.name for path in finished.out.iterdir()) == ["report.html", "table.json", "xor.onnx"]
    assert finished.html.startswith("<!DOCTYPE html>")
    assert xor.answers(onnx.load(finished.out / "xor.onnx")).flatten().tolist() == [0, 1, 1, 0]


def test_the_report_has_every_section_and_a_plot_in_most(finished):
    assert finished.html.count("<section id=") == len(command.SECTIONS) + 1
    assert finished.html.count('src="data:image/svg+xml;base64,') >= 12
    assert "with faster recipes" in finished.html


def test_json_is_the_table_and_nothing_else(finished):
    rows = json.loads(finished.printed)

    assert rows == json.loads((finished.out / "table.json").read_text())
    assert all(list(row) == ["item", "lecture", "here", "agrees"] for row in rows)
    assert len({row["item"] for row in rows}) == len(rows)
    figures = {row["item"]: row["lecture"] for row in rows if isinstance(row["lecture"], int | float)}
    assert (figures["CNN: parameters of the whole"], figures["MLP: test accuracy"]) == (122_570, 0.8792)


def test_a_person_is_told_what_agrees_and_where_the_report_is(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "SECTIONS", (xor.section,))

    assert run(tmp_path, "--full") == 0

    told = capsys.readouterr().out
    assert "Agrees" in told
    assert "7 of 7 agree." in told
    assert f"Written to {tmp_path / 'report.html'}" in told
    assert "as long as the lecture trains them" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(run, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")

    assert run(tmp_path / "file") == 1

    assert f"{tmp_path / 'file'} cannot be written to" in capsys.readouterr().err


def test_missing_data_is_refused_with_what_to_do(tmp_path, capsys):
    assert command.main(["--data-dir", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1

    assert "training.lecture: " in (told := capsys.readouterr().err)
    assert "nowhere: no such folder" in told


def test_an_interrupt_ends_with_130_and_no_report(run, tmp_path, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "SECTIONS", (interrupted,))

    assert run(tmp_path) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_is_a_command(tmp_path):
    asked = [sys.executable, "-m", "training.lecture", "--help"]

    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ)

    assert told.returncode == 0
    assert all(option in told.stdout for option in ("--out", "--json", "--full", "--data-dir"))
