"""The folder of models: which version answers, which model is the default, and what is said of the rest."""

import os

import pytest

from serving.errors import NoModel, Overloaded, UnknownModel
from serving.repository.repository import Repository

METRICS = {"accuracy": 0.5, "n": 100, "loss": 1.0, "ece": 0.1}


def accuracy(share):
    return {**METRICS, "accuracy": share, "set_size": 1.2, "set_coverage": 0.95}


def test_the_committed_models_answer_each_its_colour(models):
    repository = Repository(models)

    assert repository.default(grey=True).card.dataset == "Fashion-MNIST"
    assert repository.default(grey=False).card.dataset == "CIFAR-10"
    assert all(model.reason is None for model in repository.models.values())


def test_the_highest_version_answers_by_number_not_by_letter(folder, forge):
    for version in ("2", "10", "9"):
        forge(f"garments/{version}")

    repository = Repository(folder)

    assert repository.named("garments").card.version == "10"
    assert repository.find("garments").versions == ("2", "9", "10")


def test_an_older_version_answers_when_it_is_named(folder, forge):
    forge("garments/1", title="The first")
    forge("garments/2")

    repository = Repository(folder)

    assert repository.named("garments", "1").card.title == "The first"
    assert repository.named("garments").card.version == "2"


def test_an_older_version_is_loaded_when_it_is_first_named_and_kept(folder, forge):
    forge("garments/2")
    path = forge("garments/1")
    written = path.read_bytes()
    path.unlink()
    repository = Repository(folder)
    path.write_bytes(written)

    loaded = repository.named("garments", "1")
    path.unlink()

    assert repository.named("garments", "1") is loaded


def test_an_older_version_that_cannot_be_loaded_is_not_tried_again(folder, forge):
    forge("garments/2")
    path = forge("garments/1")
    written = path.read_bytes()
    path.unlink()
    repository = Repository(folder)

    with pytest.raises(NoModel, match=r"in version 1: .*garments/1/model\.onnx: cannot be read"):
        repository.named("garments", "1")
    path.write_bytes(written)

    with pytest.raises(NoModel, match="cannot be read"):
        repository.named("garments", "1")


def test_a_version_that_is_named_while_others_are_loaded_for_long_is_refused_for_now(folder, forge, monkeypatch):
    monkeypatch.setattr("serving.repository.LOADING_SECONDS", 0.01)
    forge("garments/1")
    forge("garments/2")
    repository = Repository(folder)

    with repository._changing, pytest.raises(Overloaded, match="'garments' waits for others to be loaded"):
        repository.named("garments", "1")

    assert repository.named("garments", "1").card.version == "1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_leaves_the_others_serving(folder, forge):
    forge("garments/1")
    (folder / "locked").mkdir(mode=0)

    models = Repository(folder).models

    assert models["garments"].classifier
    assert "locked: cannot be read" in models["locked"].reason


def test_a_bad_highest_version_leaves_the_next_answering_and_is_reported(folder, forge, caplog):
    forge("garments/1")
    forge("garments/2")
    forge("garments/3").write_bytes(b"")

    model = Repository(folder).find("garments")

    assert model.classifier.card.version == "2"
    assert model.versions == ("1", "2", "3")
    assert "garments/3/model.onnx: onnxruntime cannot load it" in model.reason
    assert "garments/3/model.onnx: onnxruntime cannot load it" in caplog.text


def test_a_model_without_a_sound_version_is_listed_with_every_reason(folder, forge):
    forge("garments/1").write_bytes(b"")
    forge("garments/2", schema=2)

    repository = Repository(folder)

    assert repository.ready() == []
    assert "garments/1/model.onnx: onnxruntime" in repository.find("garments").reason
    assert "garments/2/model.onnx: the card is not valid: Invalid enum value 2" in repository.find("garments").reason
    with pytest.raises(NoModel, match=r"'garments' cannot be served: .*garments/2/model\.onnx: the card is not valid"):
        repository.named("garments")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ({"name": "shoes"}, "'shoes' version 1"),
        ({"version": "4"}, "'garments' version 4"),
    ],
)
def test_a_card_of_another_place_is_refused_with_what_to_do(folder, forge, place, says):
    forge("garments/1", **place)

    reason = Repository(folder).find("garments").reason

    assert f"garments/1/model.onnx: its card says {says}; put it in that folder" in reason


def test_an_empty_folder_has_no_models_and_says_how_to_make_some(folder, caplog):
    repository = Repository(folder)

    assert repository.models == {}
    assert f"{folder}: no models here; export some with python -m training.export --models-dir {folder}" in caplog.text
    with pytest.raises(NoModel, match="No model is loaded"):
        repository.default(grey=True)


def test_a_missing_folder_is_logged_and_has_no_models(tmp_path, caplog):
    repository = Repository(tmp_path / "nowhere")

    assert repository.models == {}
    assert "nowhere: cannot be read: No such file or directory" in caplog.text


def test_hidden_folders_and_files_are_no_models(folder, forge):
    forge(".export/1")
    forge("garments/1")
    (folder / "README.md").write_text("models")

    assert list(Repository(folder).models) == ["garments"]


@pytest.mark.parametrize("name", ["0", "01", "latest", ".2", "2.bak", "-3", "1234567890", "³"])
def test_a_folder_that_is_no_version_is_passed_over(folder, forge, name):
    forge("garments/1")
    (folder / "garments" / name).mkdir()

    model = Repository(folder).find("garments")

    assert model.versions == ("1",)
    assert model.reason is None


def test_a_model_folder_without_a_version_is_reported(folder):
    (folder / "garments").mkdir()

    reason = Repository(folder).find("garments").reason

    assert reason.endswith("garments: no version in it, such as garments/1/model.onnx")


def test_an_unknown_name_is_refused_with_those_that_exist(folder, forge):
    forge("garments/1")
    forge("shoes/1")

    with pytest.raises(UnknownModel, match="There is no model 'hats'; there are: garments, shoes"):
        Repository(folder).named("hats")


def test_a_name_in_an_empty_folder_is_refused_as_there_are_none(folder):
    with pytest.raises(UnknownModel, match="there are: none at all"):
        Repository(folder).named("hats")


@pytest.mark.parametrize("version", ["3", "0", "01", "../1", "latest"])
def test_an_unknown_version_is_refused_with_those_that_exist(folder, forge, version):
    forge("garments/1")
    forge("garments/2")

    with pytest.raises(UnknownModel, match=f"'garments' has no version '{version}'; there are: 1, 2"):
        Repository(folder).named("garments", version)


def test_of_several_of_the_data_set_the_most_accurate_is_the_default(folder, forge):
    forge("good/1", metrics=accuracy(0.9))
    forge("best/1", metrics=accuracy(0.95))
    forge("worse/1", metrics=accuracy(0.8))

    assert Repository(folder).default(grey=True).card.name == "best"


def test_the_data_set_goes_before_accuracy(folder, forge):
    forge("digits/1", dataset="MNIST", metrics=accuracy(0.99))
    forge("garments/1", metrics=accuracy(0.8))

    assert Repository(folder).default(grey=True).card.name == "garments"


def test_the_channels_go_before_the_data_set(folder, forge):
    forge("grey-things/1", dataset="CIFAR-10", metrics=accuracy(0.99))
    forge("pets/1", of="cifar-cnn", dataset="Pets", metrics=accuracy(0.5))

    assert Repository(folder).default(grey=False).card.name == "pets"


def test_the_only_model_answers_both_colours(folder, forge):
    forge("garments/1")

    repository = Repository(folder)

    assert repository.default(grey=True) is repository.default(grey=False)
    assert repository.is_default(repository.find("garments"))


def test_a_setting_names_the_default(folder, forge):
    forge("best/1", metrics=accuracy(0.95))
    forge("chosen/1", metrics=accuracy(0.3))
    forge("things/1", of="cifar-cnn")

    repository = Repository(folder, default_grey="chosen")

    assert repository.default(grey=True).card.name == "chosen"
    assert repository.default(grey=False).card.name == "things"
    assert {name for name, model in repository.models.items() if repository.is_default(model)} == {"chosen", "things"}


def test_a_setting_may_name_a_model_of_the_other_colour(folder, forge):
    forge("garments/1")
    forge("things/1", of="cifar-cnn")

    assert Repository(folder, default_colour="garments").default(grey=False).card.name == "garments"


def test_without_a_setting_one_model_of_each_colour_is_the_default(folder, forge):
    forge("best/1", metrics=accuracy(0.95))
    forge("good/1", metrics=accuracy(0.9))
    forge("things/1", of="cifar-cnn")

    repository = Repository(folder)

    assert {name for name, model in repository.models.items() if repository.is_default(model)} == {"best", "things"}


def test_a_default_that_does_not_exist_is_logged_and_leaves_the_other_colour_alone(folder, forge, caplog):
    forge("garments/1")
    forge("things/1", of="cifar-cnn")

    repository = Repository(folder, default_grey="garmets")

    assert "no model 'garmets' here, which is set as a default" in caplog.text
    assert repository.default(grey=False).card.name == "things"
    assert not repository.is_default(repository.find("garments"))
    with pytest.raises(NoModel, match="No model is loaded that answers greyscale images"):
        repository.default(grey=True)


def test_a_default_that_cannot_be_loaded_is_no_default(folder, forge):
    forge("chosen/1").write_bytes(b"")
    forge("garments/1")

    repository = Repository(folder, default_colour="chosen")

    assert not repository.is_default(repository.find("chosen"))
    assert repository.default(grey=True).card.name == "garments"
    with pytest.raises(NoModel, match="No model is loaded that answers colour images"):
        repository.default(grey=False)


def test_a_file_named_like_a_version_is_none(folder, forge):
    forge("garments/1")
    (folder / "garments/9").touch()

    model = Repository(folder).find("garments")

    assert model.versions == ("1",)
    assert model.reason is None
