"""The list of packages and models."""

import json
import shutil
import sys
from importlib import metadata

import pytest

from serving.model.classifier import Classifier
from serving.sbom import main


def components(models, capsys):
    assert main(["--models", str(models)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["name"] == "thimble"
    references = [one["bom-ref"] for one in document["components"]]
    assert len(set(references)) == len(references)
    return {one["name"]: one for one in document["components"]}


def test_every_package_of_the_environment_is_listed_with_its_version(models, capsys):
    found = components(models, capsys)

    assert found["pillow"]["purl"] == f"pkg:pypi/pillow@{metadata.version('pillow')}"
    assert found["prometheus-client"]["type"] == "library"
    assert "thimble" not in found


def test_of_a_package_that_is_there_twice_the_one_that_python_imports_is_listed(models, tmp_path, capsys, monkeypatch):
    for place in ("first", "second"):
        folder = tmp_path / place / f"{place}_of_two-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: twice\nVersion: {place}\n")
        monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path / place)])

    assert components(models, capsys)["twice"]["version"] == "first"


def test_what_an_interrupted_pip_left_is_not_listed(models, tmp_path, capsys, monkeypatch):
    (tmp_path / "left-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    assert "left" not in components(models, capsys)


def test_every_model_is_listed_as_its_card_describes_it(models, capsys):
    found = components(models, capsys)

    classifier = Classifier.open(models / "fashion-mlp/2/model.onnx")
    listed = found["fashion-mlp"]
    metrics = {one["type"]: one["value"] for one in listed["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert {name for name, one in found.items() if one["type"] == "machine-learning-model"} == {
        "fashion-mlp",
        "cifar-cnn",
    }
    assert listed["hashes"] == [{"alg": "SHA-256", "content": classifier.digest.removeprefix("sha256:")}]
    assert listed["licenses"] == [{"license": {"name": classifier.card.licence}}]
    assert metrics["accuracy"] == f"{classifier.card.metrics.accuracy:.4f}"
    assert listed["modelCard"]["modelParameters"]["datasets"] == [{"type": "dataset", "name": "Fashion-MNIST"}]


def test_a_model_that_is_being_written_is_not_listed(models, tmp_path, capsys):
    shutil.copytree(models / "fashion-mlp/2", tmp_path / "fashion-mlp/2")
    shutil.copytree(models / "fashion-mlp/2", tmp_path / ".fashion-mlp-x1y2/2")

    assert "fashion-mlp" in components(tmp_path, capsys)


def test_a_broken_model_file_is_named_in_one_line(tmp_path, capsys):
    file = tmp_path / "broken" / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"hello")

    assert main(["--models", str(tmp_path)]) == 1

    written = capsys.readouterr()
    assert written.out == ""
    assert len(written.err.splitlines()) == 1
    assert written.err.startswith(f"{file}: ")


@pytest.mark.parametrize("name", ["nothing", "x" * 300])
def test_a_folder_that_does_not_exist_is_refused(tmp_path, capsys, name):
    with pytest.raises(SystemExit, match="2"):
        main(["--models", str(tmp_path / name)])

    assert "there is no such folder" in capsys.readouterr().err
