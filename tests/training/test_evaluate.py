import msgspec
import onnx
import pytest

from serving.model.card import ModelCard
from serving.model.classifier import Classifier
from training.graph.onnx_export import with_metadata


@pytest.fixture(params=["fashion-mlp", "cifar-cnn"])
def file(request, rehearsal):
    """A file of the rehearsal; its limit was above the number of test images of the lookalikes."""
    return rehearsal(request.param) / request.param / "1" / "model.onnx"


def rewritten(file, target, **changes):
    """Write a file again with a changed card, or without a card if no changes are given."""
    card = Classifier.open(file).card
    metadata = msgspec.structs.replace(card, **changes).to_metadata() if changes else {}
    target.write_bytes(with_metadata(onnx.load(file), metadata))
    return target


def test_the_metrics_are_the_cards_own(file, run_evaluate, data_dir, capsys):
    status = run_evaluate(file, "--data-dir", data_dir, "--json")

    card, printed = Classifier.open(file).card, msgspec.json.decode(capsys.readouterr().out)
    assert status == 0
    metrics = msgspec.to_builtins(card.metrics)
    assert printed["corrupted"].pop("by_corruption") == pytest.approx(metrics["corrupted"].pop("by_corruption"))
    assert printed["corrupted"] == pytest.approx(metrics.pop("corrupted"))
    for name, value in metrics.items():
        assert printed[name] == pytest.approx(value, rel=1e-5)
    assert printed["novelty"] == {
        "share": pytest.approx(card.novelty.share),
        "auroc": pytest.approx(card.novelty.auroc),
    }
    assert printed["photos"] == pytest.approx(msgspec.structs.asdict(card.photos))
    assert list(printed["set_coverage_by_label"]) == card.labels


def test_the_stages_go_to_standard_error_and_json_alone_to_standard_output(file, run_evaluate, data_dir, capsys):
    run_evaluate(file, "--data-dir", data_dir, "--json")

    shown, card = capsys.readouterr(), Classifier.open(file).card
    (line,) = shown.out.splitlines()
    assert msgspec.json.decode(line)["n"] == card.metrics.n
    assert shown.err.splitlines() == [
        f"Reading {card.dataset}",
        "Photos of 10 test images",
        f"Evaluating on {card.metrics.n} test images",
        *(f"Evaluating on {name}" for name in card.novelty.auroc),
        "Evaluating on 10 photos",
        "Evaluating on corrupted images",
    ]


def test_a_rehearsal_is_evaluated_on_as_many_images_as_its_limit(file, run_evaluate, tmp_path, data_dir, capsys):
    training = msgspec.structs.replace(Classifier.open(file).card.training, limit=20)
    rehearsal = rewritten(file, tmp_path / "rehearsal.onnx", training=training)

    run_evaluate(rehearsal, "--data-dir", data_dir, "--json")

    assert msgspec.json.decode(capsys.readouterr().out)["n"] == 20


def test_the_table_names_the_model_and_shows_its_metrics(file, run_evaluate, data_dir, capsys):
    status = run_evaluate(file, "--data-dir", data_dir)

    shown, card = capsys.readouterr().out, Classifier.open(file).card
    assert status == 0
    for part in (f"{card.name} 1", str(card.metrics.n), f"{card.metrics.accuracy:.4f}", f"{card.metrics.loss:.4f}"):
        assert part in shown


def test_the_data_is_found_in_the_folder_that_the_environment_names(file, run_evaluate, data_dir, monkeypatch):
    monkeypatch.setenv("THIMBLE_DATA", str(data_dir))

    assert run_evaluate(file, "--json") == 0


def test_a_file_without_a_card_is_refused(file, run_evaluate, tmp_path, data_dir, capsys):
    bare = rewritten(file, tmp_path / "bare.onnx")

    status = run_evaluate(bare, "--data-dir", data_dir)

    assert status == 1
    assert f"{bare}: no 'thimble.card' in the metadata" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"<!DOCTYPE html>"], ids=["missing", "foreign"])
def test_a_file_that_is_not_a_graph_is_refused(run_evaluate, tmp_path, capsys, content):
    if content:
        (tmp_path / "net.onnx").write_bytes(content)

    status = run_evaluate(tmp_path / "net.onnx")

    assert status == 1
    assert f"training.evaluate: {tmp_path / 'net.onnx'}: " in capsys.readouterr().err


def test_an_unknown_data_set_is_refused_with_those_that_are_known(file, run_evaluate, tmp_path, data_dir, capsys):
    other = rewritten(file, tmp_path / "other.onnx", dataset="my cats")

    status = run_evaluate(other, "--data-dir", data_dir)

    message = capsys.readouterr().err
    assert status == 1
    assert "unknown data set 'my cats'; known: Fashion-MNIST, CIFAR-10" in message


def test_a_card_that_claims_the_other_data_set_is_refused(rehearsal, run_evaluate, tmp_path, data_dir, capsys):
    file = rehearsal("fashion-mlp") / "fashion-mlp" / "1" / "model.onnx"
    other = rewritten(file, tmp_path / "other.onnx", dataset="CIFAR-10")

    status = run_evaluate(other, "--data-dir", data_dir)

    assert status == 1
    assert "training.evaluate: " in capsys.readouterr().err


def test_what_a_recipe_does_not_measure_is_not_measured_again(rehearsal, run_evaluate, data_dir, capsys):
    file = rehearsal("lecture-mlp") / "lecture-mlp" / "1" / "model.onnx"
    capsys.readouterr()  # of the rehearsal

    assert run_evaluate(file, "--data-dir", data_dir, "--json") == 0

    assert "corrupted" not in msgspec.to_builtins(Classifier.open(file).card.metrics)
    assert msgspec.json.decode(capsys.readouterr().out)["corrupted"] is None


def test_a_path_that_the_system_refuses_is_refused_in_a_line(file, run_evaluate, tmp_path, capsys):
    other = rewritten(file, tmp_path / "other.onnx", dataset="own images (cats)")

    assert run_evaluate(other, "--images", tmp_path / ("a" * 300)) == 1

    assert capsys.readouterr().err.endswith(f"training.evaluate: {tmp_path}/{'a' * 300}: File name too long\n")


def test_a_truncated_data_set_is_refused(file, run_evaluate, tmp_path, data_dir, capsys):
    for source in data_dir.rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(data_dir)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(source.read_bytes()[:-5])

    assert run_evaluate(file, "--data-dir", tmp_path) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_card_survives_being_written_again(file, tmp_path):
    card = Classifier.open(file).card

    again = Classifier.open(rewritten(file, tmp_path / "again.onnx", title="Another title")).card

    assert again == msgspec.structs.replace(card, title="Another title")
    assert isinstance(again, ModelCard)


def test_several_files_are_evaluated_one_after_the_other(rehearsal, run_evaluate, data_dir, capsys):
    files = [rehearsal(name) / name / "1/model.onnx" for name in ("fashion-mlp", "cifar-cnn")]

    status = run_evaluate(*files, "--data-dir", data_dir, "--json")

    printed = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    assert [each["accuracy"] for each in printed] == [Classifier.open(file).card.metrics.accuracy for file in files]
