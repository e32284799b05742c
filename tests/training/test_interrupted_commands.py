"""Ctrl-C ends the commands that train nothing with a line, not with a traceback."""

from pathlib import Path
from typing import Any

from own_images import fill

from training import evaluate, images, versions

MODELS = Path(__file__).parents[2] / "models"


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_ends_with_130_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(images, "print_survey", interrupted)
    monkeypatch.setattr(evaluate, "test_images", interrupted)
    monkeypatch.setattr(versions, "_table", interrupted)

    statuses = (
        images.main([str(fill(tmp_path / "flowers"))]),
        evaluate.main([str(MODELS / "fashion-mlp/2/model.onnx")]),
        versions.main(["fashion-mlp", "--models-dir", str(MODELS)]),
    )

    assert statuses == (130, 130, 130)
    assert capsys.readouterr().err.count("Interrupted") == 3
