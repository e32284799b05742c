"""The command line of the export: unknown names, wrong values and contradictions are refused."""

from pathlib import Path

import pytest
from own_images import fill

from training import export
from training.datasets.image_folder import ImageFolder
from training.export_options import (
    MODELS,
    OWN_MODELS,
    chosen,
    contradiction_in,
    default_models_dir,
    export_parser,
    rehearsal,
    takes_pretrained,
)
from training.own_recipe import PHOTO_SIDE
from training.recipes import RECIPES

CPU, GPU = "cpu", "cuda"


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


def test_a_folder_in_the_place_of_a_recipe_is_refused_with_the_option_for_own_images(tmp_path, capsys):
    message = refusal_of([str(tmp_path), "--name", "kitchen"], capsys)

    assert f"'{tmp_path}' is not a recipe; for own images, name them with --images {tmp_path}" in message


@pytest.mark.parametrize(
    ("options", "option", "folder"),
    [
        ((), "--models-dir", "own-models"),
        (("--models-dir", "."), "--models-dir", "flowers-models"),
        (("--models-dir", "rose/models"), "--models-dir", "models"),
        (("--models-dir", ".models", "--tensorboard", "logs"), "--tensorboard", "logs"),
    ],
)
def test_a_folder_that_would_become_a_label_among_the_images_is_refused(
    tmp_path, monkeypatch, capsys, options, option, folder
):
    monkeypatch.chdir(fill(tmp_path / "flowers"))

    assert export.main(["--images", ".", "--name", "kitchen", *options]) == 1

    advice = f"name a folder outside of them, such as {option} {tmp_path}/{folder}"
    assert f": among the images, where it would be a label; {advice}\n" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["daisy", "rose", "tulip", "violet"]


@pytest.mark.parametrize("option", ["--limit", "--epochs"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "", "²"])
def test_a_value_that_is_not_a_positive_whole_number_is_refused(capsys, option, value):
    message = refusal_of(["fashion-mlp", f"{option}={value}"], capsys)

    assert f"{value!r} is not a whole number from 1 on" in message


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "inf", "10081", ""])
def test_minutes_that_are_no_budget_are_refused(capsys, value):
    message = refusal_of(["fashion-mlp", f"--minutes={value}"], capsys)

    assert f"{value!r} is not a number of minutes above 0, and up to 10,080" in message


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
        (["--images", "a", "--name", "a", "--backbone", "efficientnet-lite0", "--minutes", "5"], "leave --minutes out"),
        (["fashion-mlp", "--fine-tune"], "--fine-tune is for own images: name them with --images DIR"),
        (["--images", "a", "--name", "a", "--fine-tune", "--backbone", "none"], "leave --backbone none out"),
        (["--images", "a", "--name", "a", "--fine-tune", "--backbone", "b.onnx"], "leave --backbone b.onnx out"),
        (["fashion-mlp", "--side", "64"], "--side is for own images: name them with --images DIR"),
        (["--images", "a", "--name", "a", "--side", "100"], "choose from 28, 32, 64, 96, 128, 160, 192, 224"),
        (["fashion-mlp", "--minutes", "5", "--epochs", "3"], "--minutes and --epochs both say how long to train"),
        (["fashion-mlp", "router", "--epochs", "3"], "router is pretrained and has no epochs: leave --epochs out"),
        (["router", "--minutes", "5"], "router is pretrained and has no epochs: leave --minutes out"),
        (["fashion-mlp", "--train-only", "--publish", "--int8"], "leave --publish and --int8 out"),
        (["fashion-mlp", "--train-only", "--float"], "--train-only publishes nothing: leave --float out"),
        (["fashion-mlp", "--float", "--int8"], "--int8 publishes NAME in float32 too: leave --float out"),
        (["--images", "a", "--name", "a", "--backbone", "x"], "unknown backbone 'x'; take efficientnet-lite0, none"),
        (["fashion-mlp", "--checkpoint", "a.pt", "--minutes", "5"], "leave --minutes out"),
        (["fashion-mlp", "--checkpoint", "a.pt", "--epochs", "3", "--resume"], "leave --epochs and --resume out"),
    ],
)
def test_options_that_contradict_each_other_are_refused(capsys, arguments, reason):
    assert reason in refusal_of(arguments, capsys)


def test_minutes_are_refused_in_several_processes(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert "--minutes is for one process" in refusal_of(["fashion-mlp", "--minutes", "5"], capsys)


def test_minutes_are_the_budget_of_each_recipe():
    options = export_parser().parse_args(["fashion-mlp", "cifar-cnn", "--minutes", "0.5", "--seed", "3"])

    assert [(recipe.minutes, recipe.seed) for recipe in chosen(options, CPU)] == [(0.5, 3), (0.5, 3)]


def test_a_processor_trains_a_recipe_for_as_many_epochs_as_it_affords():
    options = export_parser().parse_args(["cifar-net"])
    (affordable,), (whole,) = chosen(options, CPU), chosen(options, GPU)

    assert affordable.epochs < whole.epochs
    assert rehearsal(options, affordable, CPU) == rehearsal(options, whole, GPU) == ""
    assert rehearsal(options, affordable, GPU) == f"{affordable.epochs} of {whole.epochs} epochs"


def test_epochs_that_are_asked_for_are_those_of_any_device():
    options = export_parser().parse_args(["cifar-net", "--epochs", "2"])

    assert [recipe.epochs for device in (CPU, GPU) for recipe in chosen(options, device)] == [2, 2]


def test_a_draft_may_be_trained_without_publishing_anything():
    assert contradiction_in(export_parser().parse_args(["fashion-mlp", "--train-only", "--no-publish"])) is None


def test_a_checkpoint_of_own_images_can_be_exported():
    arguments = ["--images", "flowers", "--name", "flowers", "--checkpoint", "weights.pt"]

    assert contradiction_in(export_parser().parse_args(arguments)) is None


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ([], "--fine-tune trains its last blocks too"),
        (["--minutes", "5"], "It has an effect with --fine-tune or --backbone none"),
        (["--backbone", "efficientnet-lite0"], ""),
    ],
)
def test_of_photos_the_export_says_that_more_can_learn(arguments, advice, capsys):
    photos = ImageFolder("mugs", Path("mugs"), ("mug", "spoon"), (), 64, 3, typical_side=PHOTO_SIDE)

    assert takes_pretrained(export_parser().parse_args(arguments), photos)
    assert advice in (text := " ".join(capsys.readouterr().err.split()))
    assert bool(text) == bool(advice)


class TestModelsDir:
    @pytest.fixture(autouse=True)
    def _working_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("name", [None, "fashion-net", "fashion-net-int8"])
    def test_recipes_write_among_the_models(self, name):
        assert default_models_dir(name) == MODELS

    def test_own_images_write_apart(self):
        MODELS.mkdir()

        assert default_models_dir("kitchen") == OWN_MODELS

    def test_a_model_of_own_images_stays_where_it_is(self):
        (MODELS / "kitchen").mkdir(parents=True)

        assert default_models_dir("kitchen") == MODELS
