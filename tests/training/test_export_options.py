"""The command line of the export: unknown names, wrong values and contradictions are refused."""

import pytest

from training import export
from training.export_options import contradiction_in, export_parser
from training.recipes import RECIPES


def refusal_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message with which a command line is refused, before anything else is done."""
    with pytest.raises(SystemExit) as refusal:
        export.main(arguments)
    assert refusal.value.code == 2
    return capsys.readouterr().err


def test_an_unknown_recipe_is_refused_with_those_that_exist(tmp_path, capsys):
    message = refusal_of(["fashion-mlp", "fashion-mpl", "--models-dir", str(tmp_path / "models")], capsys)

    assert "unknown recipe 'fashion-mpl'" in message
    assert all(name in message for name in RECIPES)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("option", ["--limit", "--epochs"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "", "²"])
def test_a_value_that_is_not_a_positive_whole_number_is_refused(capsys, option, value):
    message = refusal_of(["fashion-mlp", f"{option}={value}"], capsys)

    assert f"{value!r} is not a whole number from 1 on" in message


@pytest.mark.parametrize("name", ["", ".flowers", "my/flowers", "..", "flowers:1", "fl wers", "x" * 96])
def test_a_name_that_a_model_cannot_have_is_refused(tmp_path, capsys, name):
    message = refusal_of(["--images", str(tmp_path), f"--name={name}"], capsys)

    assert f"{name!r} cannot name a model; take up to 95 letters" in message


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--images", "flowers"], "--images DIR and --name NAME go together"),
        (["--name", "flowers"], "--images DIR and --name NAME go together"),
        (["--images", "flowers", "--name", "cifar-net"], "'cifar-net' is the name of a recipe; take another"),
        (["--images", "flowers", "--name", "cifar-net-int8"], "'cifar-net-int8' is the name of a recipe; take another"),
        (["fashion-mlp", "--images", "flowers", "--name", "flowers"], "leave fashion-mlp out"),
        (["fashion-mlp", "--checkpoint", "a.pt", "--epochs", "3", "--seed", "0"], "leave --epochs and --seed out"),
    ],
)
def test_options_that_contradict_each_other_are_refused(capsys, arguments, reason):
    assert reason in refusal_of(arguments, capsys)


def test_a_checkpoint_of_own_images_can_be_exported():
    arguments = ["--images", "flowers", "--name", "flowers", "--checkpoint", "weights.pt"]

    assert contradiction_in(export_parser().parse_args(arguments)) is None
