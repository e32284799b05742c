"""The versions of a model: listed, compared, promoted and rolled back."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
import pytest

from serving.model.classifier import Classifier
from serving.repository.repository import Repository
from training import versions
from training.graph.onnx_export import with_metadata
from training.publish.model_folder import ModelFolder

COMMITTED = Path(__file__).parents[3] / "models/fashion-mlp"


def put(target: Path, version: str, **fields: object) -> None:
    """Write the committed model as another version, with a README beside that version. fields: of its card."""
    file = target / version / "model.onnx"
    file.parent.mkdir(parents=True)
    committed = COMMITTED / "1/model.onnx"
    card = msgspec.structs.replace(Classifier.open(committed).card, version=version, **fields)
    file.write_bytes(with_metadata(onnx.load(committed), card.to_metadata()))
    (target / "README.md").write_text(f"`{version}/model.onnx` ![curves]({version}/curves.png) 1/10 of {version}")


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    """A model whose first version answers, and whose second is a draft."""
    put(tmp_path / "fashion-mlp", "1")
    put(tmp_path / "fashion-mlp/.draft", "2")
    return ModelFolder(tmp_path, "fashion-mlp")


def run(folder: ModelFolder, *options: str) -> int:
    return versions.main([folder.name, "--models-dir", str(folder.models), *options])


def answering(folder: ModelFolder) -> str:
    """Return the version with which a service answers."""
    return Repository(folder.models).named(folder.name).card.version


def readme(folder: ModelFolder) -> str:
    return (folder.path / "README.md").read_text()


def test_a_draft_does_not_answer(folder):
    assert answering(folder) == "1"


def test_a_card_can_neither_drive_the_terminal_nor_break_the_list(folder, capsys):
    card = Classifier.open(COMMITTED / "1/model.onnx").card
    training = msgspec.structs.replace(card.training, date="[/bold]\x1b[2J")
    put(folder.path, "3", training=training, network="\x9b2J")

    assert run(folder) == 0
    listed = capsys.readouterr().out
    assert r"'[/bold]\x1b[2J'" in listed
    assert r"'\x9b2J'" in listed


def test_all_versions_are_listed_with_their_figures(folder, capsys):
    (folder.path / "3").mkdir()
    (folder.path / "3/model.onnx").write_bytes(b"damaged")

    assert run(folder) == 0

    text = capsys.readouterr().out
    assert [state for state in ("answers", "older", "draft") if state in text] == ["answers", "older", "draft"]
    assert "refused:" in text
    assert f"{Classifier.open(COMMITTED / '1/model.onnx').card.metrics.accuracy:.2%}" in text


def test_a_version_without_a_file_is_none_as_for_the_service(folder, capsys):
    (folder.path / "2").mkdir()

    assert run(folder, "--roll-back") == 1

    assert answering(folder) == "1"
    assert "no version before the one that answers" in capsys.readouterr().err


def test_images_are_for_a_comparison(folder, capsys):
    with pytest.raises(SystemExit):
        run(folder, "--images", "photos")

    assert "nothing is compared: leave --images out, or add --compare" in capsys.readouterr().err


def test_a_promoted_draft_answers(folder):
    assert run(folder, "--promote") == 0

    assert answering(folder) == "2"
    assert readme(folder).startswith("`2/model.onnx`")
    assert not (folder.path / ".draft").exists()


def test_a_draft_whose_number_was_given_meanwhile_gets_the_next(folder):
    put(folder.path, "2")

    assert run(folder, "--promote") == 0

    assert answering(folder) == "3"
    assert readme(folder) == "`3/model.onnx` ![curves](3/curves.png) 1/10 of 2"


def test_after_a_roll_back_the_version_before_answers_with_its_readme(folder):
    digest = Classifier.open(folder.path / "1/model.onnx").digest
    run(folder, "--promote")

    assert run(folder, "--roll-back") == 0

    assert answering(folder) == "1"
    assert Repository(folder.models).named(folder.name).digest == digest
    assert readme(folder).startswith("`1/model.onnx`")
    assert (folder.path / "labels.txt").read_text() == (COMMITTED / "labels.txt").read_text()
    assert (folder.path / "config.pbtxt").read_text() == (COMMITTED / "config.pbtxt").read_text()


def test_the_number_of_a_withdrawn_version_is_not_given_again(folder):
    run(folder, "--promote")
    run(folder, "--roll-back")

    assert folder.next_version() == "3"


def test_a_withdrawn_version_may_answer_again(folder, capsys):
    run(folder, "--promote")
    run(folder, "--roll-back")

    assert run(folder, "--promote", "2") == 0

    assert answering(folder) == "2"
    assert readme(folder).startswith("`2/model.onnx`")
    assert (folder.path / "1/README.md").exists()


def test_a_version_without_a_readme_of_its_own_gets_a_short_one(folder):
    put(folder.path, "2")

    run(folder, "--roll-back")

    assert "Version 1 answers again, since later ones were withdrawn." in readme(folder)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--roll-back",), "no version before the one that answers: nothing to roll back to"),
        (("--promote", "7"), "7 is not a withdrawn version of fashion-mlp; withdrawn: none"),
        (("--compare", "7"), "no other version 7 to compare with version 1, which answers; --compare draft"),
    ],
)
def test_a_version_that_is_not_there_is_refused(folder, options, reason, capsys):
    assert run(folder, *options) == 1

    assert f"training.versions: {reason}" in capsys.readouterr().err.replace(f"{folder.path}: ", "")


def test_without_a_draft_nothing_is_promoted_or_compared(folder, capsys):
    shutil.rmtree(folder.path / ".draft")
    put(folder.path, "2")

    assert (run(folder, "--promote"), run(folder, "--compare")) == (1, 1)

    promoting, comparing = capsys.readouterr().err.splitlines()
    assert "no draft there to promote" in promoting
    assert comparing.endswith("no draft to compare with version 2, which answers; --compare 1")


def test_a_withdrawn_version_below_the_one_that_answers_is_refused(folder, capsys):
    run(folder, "--promote")
    run(folder, "--roll-back")
    put(folder.path, "3")

    assert run(folder, "--promote", "2") == 1

    assert "version 3 is higher than 2 and would answer: roll it back first" in capsys.readouterr().err


def test_an_unknown_model_is_refused(tmp_path, capsys):
    assert versions.main(["roses", "--models-dir", str(tmp_path)]) == 1

    assert "no versions there" in capsys.readouterr().err


def test_without_the_test_images_a_draft_is_compared_by_the_cards(folder, capsys):
    assert run(folder, "--compare") == 0

    text = capsys.readouterr().out
    assert "The test images are not there" in text
    assert "by their cards, on 10,000 and 10,000 test images: no clear difference" in text


def test_a_draft_is_compared_on_the_test_images(folder, data_dir, capsys):
    assert run(folder, "--compare", "--data-dir", str(data_dir)) == 0

    assert "on the same 150 test images: no clear difference" in capsys.readouterr().out


def test_the_tenth_version_comes_after_the_ninth(tmp_path):
    folder = ModelFolder(tmp_path, "fashion-mlp")
    for version in ("9", "10"):
        put(folder.path, version)

    assert run(folder, "--roll-back") == 0
    assert answering(folder) == "9"
    assert run(folder, "--promote", "10") == 0
    assert answering(folder) == "10"


def test_a_damaged_draft_is_not_promoted(folder):
    (folder.path / ".draft/2/model.onnx").write_bytes(b"damaged")

    assert run(folder, "--promote") == 1

    assert not (folder.path / "2").exists()  # it would not answer there either
    assert folder.kept_draft()


@pytest.fixture
def _little_room() -> Iterator[None]:
    """Have files of more than 10 kB not fit on the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_draft_survives_that_it_cannot_be_given_another_number(folder, request, capsys):
    put(folder.path, "2")
    request.getfixturevalue("_little_room")

    assert run(folder, "--promote") == 1

    assert "File too large" in capsys.readouterr().err
    assert Classifier.open(folder.path / ".draft/2/model.onnx").card.version == "2"
    assert [path.name for path in (folder.path / ".draft/2").iterdir()] == ["model.onnx"]


def test_a_roll_back_is_done_whole_though_ctrl_c_is_pressed(folder, request):
    put(folder.path, "2")
    request.getfixturevalue("_ctrl_c_at_each_move")

    status = run(folder, "--roll-back")

    assert status == 130
    assert readme(folder).startswith("# fashion-mlp: ")
    assert (folder.path / ".withdrawn/2/README.md").exists()
