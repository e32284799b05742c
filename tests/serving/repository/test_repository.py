"""The model folder: which version answers, which model is the default, and which faults are reported."""

import os

import pytest
from routers import add_router

from serving.errors import NoModel, Overloaded, UnknownModel
from serving.repository.index import Routing
from serving.repository.repository import Repository

METRICS = {"accuracy": 0.5, "n": 100, "loss": 1.0, "ece": 0.1}


def accuracy(share):
    return {**METRICS, "accuracy": share, "set_size": 1.2, "set_coverage": 0.95}


def trained(date):
    """Return the field of a card for a training of this date."""
    libraries = {"python": "3.11"}
    made = {"recipe": "own", "seed": 1, "epochs": 1, "seconds": 1.0, "device": "cpu", "libraries": libraries}
    return {**made, "date": date, "data_sha256": 64 * "0", "epoch_accuracy": [0.5]}


def test_each_committed_model_is_the_default_for_its_colour(models):
    repository = Repository(models)

    assert repository.default(grey=True).card.dataset == "Fashion-MNIST"
    assert repository.default(grey=False).card.dataset == "CIFAR-10"
    assert all(model.reason is None for model in repository.models.values())


def test_the_highest_version_by_number_answers(folder, forge):
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


def test_an_older_version_that_cannot_be_loaded_is_not_opened_again(folder, forge):
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


def test_a_version_that_is_named_while_others_are_loaded_is_refused_for_the_moment(folder, forge):
    for version in ("1", "2", "3"):
        forge(f"garments/{version}")
    refusals = []

    def name_another(event):  # is called before loading has ended
        if event.version == "2":
            with pytest.raises(Overloaded, match="'garments' waits while others are loaded; ask again") as refusal:
                repository.named("garments", "1")
            refusals.append(refusal)

    repository = Repository(folder, on_load=name_another, load_timeout=0.01)
    repository.named("garments", "2")

    assert len(refusals) == 1
    assert repository.named("garments", "1").card.version == "1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_does_not_affect_the_others(folder, forge):
    forge("garments/1")
    (folder / "locked").mkdir(mode=0)

    models = Repository(folder).models

    assert models["garments"].classifier
    assert "locked: cannot be read" in models["locked"].reason


def test_a_bad_highest_version_is_reported_and_the_next_answers(folder, forge, caplog):
    forge("garments/1")
    forge("garments/2")
    forge("garments/3").write_bytes(b"")

    model = Repository(folder).find("garments")

    assert model.classifier.card.version == "2"
    assert model.versions == ("1", "2", "3")
    assert "garments/3/model.onnx: onnxruntime cannot load it" in model.reason
    assert "garments/3/model.onnx: onnxruntime cannot load it" in caplog.text


def test_a_model_without_a_sound_version_has_every_reason(folder, forge):
    forge("garments/1").write_bytes(b"")
    forge("garments/2", schema=2)

    repository = Repository(folder)

    assert repository.ready() == []
    assert "garments/1/model.onnx: onnxruntime" in repository.find("garments").reason
    assert "garments/2/model.onnx: the card is not valid: Invalid enum value 2" in repository.find("garments").reason
    with pytest.raises(NoModel, match=r"'garments' cannot be served: .*garments/2/model\.onnx: the card is not valid"):
        repository.named("garments")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"name": "shoes"}, "'shoes' version 1"),
        ({"version": "4"}, "'garments' version 4"),
    ],
)
def test_a_card_of_another_folder_is_refused_with_what_to_do(folder, forge, fields, found):
    forge("garments/1", **fields)

    reason = Repository(folder).find("garments").reason

    assert f"garments/1/model.onnx: its card says {found}; put it in that folder" in reason


def test_an_empty_folder_is_logged_with_what_to_do(folder, caplog):
    repository = Repository(folder)

    assert repository.models == {}
    assert f"{folder}: it has no models; export some with python -m training.export --models-dir" in caplog.text
    with pytest.raises(NoModel, match="No model for greyscale images is loaded; the service's log and GET /models say"):
        repository.default(grey=True)


def test_a_missing_folder_is_logged(tmp_path, caplog):
    repository = Repository(tmp_path / "nowhere")

    assert repository.models == {}
    assert "nowhere: cannot be read: No such file or directory" in caplog.text


def test_hidden_folders_and_files_are_not_models(folder, forge):
    forge(".export/1")
    forge("garments/1")
    (folder / "README.md").write_text("models")

    assert list(Repository(folder).models) == ["garments"]


@pytest.mark.parametrize("name", ["0", "01", "latest", ".2", "2.bak", "-3", "1234567890", "³"])
def test_a_folder_that_is_not_a_version_is_ignored(folder, forge, name):
    forge("garments/1")
    (folder / "garments" / name).mkdir()

    model = Repository(folder).find("garments")

    assert model.versions == ("1",)
    assert model.reason is None


@pytest.mark.parametrize("file", [None, "x" * 300])
def test_a_model_folder_without_a_version_is_reported(folder, file):
    (folder / "garments").mkdir()
    if file:  # to look where this link leads fails, as it does in a folder that may not be entered
        (folder / "garments" / "model.onnx").symlink_to(file)

    reason = Repository(folder).find("garments").reason

    assert reason.endswith("garments: it has no version, such as garments/1/model.onnx")


def test_the_folder_above_is_named_where_the_folder_of_one_model_is_served(models):
    garments = models / "fashion-mlp"

    assert Repository(garments).find("2").reason == (
        f"{garments / '2'}: it is a version, not a model; serve the folder above: --models {models}"
    )


def test_an_unknown_name_is_refused_with_the_existing_ones(folder, forge):
    forge("garments/1")
    forge("shoes/1")

    with pytest.raises(UnknownModel, match=r"There is no model 'hats'\. Models: garments, shoes\."):
        Repository(folder).named("hats")


def test_any_name_is_unknown_in_an_empty_folder(folder):
    with pytest.raises(UnknownModel, match=r"Models: none\."):
        Repository(folder).named("hats")


@pytest.mark.parametrize("version", ["3", "0", "01", "../1", "latest"])
def test_an_unknown_version_is_refused_with_the_existing_ones(folder, forge, version):
    forge("garments/1")
    forge("garments/2")

    with pytest.raises(UnknownModel, match=rf"'garments' has no version '{version}'\. Versions: 1, 2\."):
        Repository(folder).named("garments", version)


def test_the_most_accurate_model_of_the_data_set_is_the_default(folder, forge):
    forge("good/1", metrics=accuracy(0.9))
    forge("best/1", metrics=accuracy(0.95))
    forge("worse/1", metrics=accuracy(0.8))

    assert Repository(folder).default(grey=True).card.name == "best"


def test_the_data_set_matters_more_than_channels_and_accuracy(folder, forge):
    forge("grey-things/1", dataset="CIFAR-10", metrics=accuracy(0.5))
    forge("garments/1", metrics=accuracy(0.8))
    forge("coloured/1", of="cifar-cnn", dataset="Fashion-MNIST", metrics=accuracy(0.7))

    repository = Repository(folder)

    assert repository.default(grey=True).card.name == "garments"
    assert repository.default(grey=False).card.name == "grey-things"


def test_the_newest_model_of_another_data_set_is_the_default_for_everything(folder, forge):
    forge("garments/1", metrics=accuracy(0.99))
    for name, date in (("birds", "2026-01-02"), ("flowers", "2026-03-04"), ("pets", "2026-01-03")):
        forge(f"{name}/1", of="cifar-cnn", dataset=f"own images ({name})", training=trained(date))

    repository = Repository(folder)

    assert {repository.default(grey).card.name for grey in (True, False)} == {"flowers"}
    assert repository.default_reasons(repository.find("flowers")) == [
        f"{domain}: the newest model of data other than Fashion-MNIST and CIFAR-10" for domain in ("garments", "things")
    ]
    assert not repository.default_reasons(repository.find("garments"))


def test_of_models_trained_on_one_day_the_newest_file_is_the_default(folder, forge):
    for name, seconds in (("birds", 200), ("flowers", 300), ("pets", 100)):
        path = forge(f"{name}/1", of="cifar-cnn", dataset=f"own images ({name})")
        os.utime(path, (seconds, seconds))

    assert Repository(folder).default(grey=False).card.name == "flowers"


def test_a_setting_names_a_default_beside_own_images(folder, forge):
    forge("garments/1")
    forge("flowers/1", of="cifar-cnn", dataset="own images (flowers)")

    repository = Repository(folder, routing=Routing(grey="garments"))

    assert repository.default(grey=True).card.name == "garments"
    assert repository.default_reasons(repository.find("garments")) == ["garments: the operator's choice"]
    assert repository.default(grey=False).card.name == "flowers"


def test_the_reason_of_a_default_says_what_there_is_none_of(folder, forge):
    forge("garments/1")

    repository = Repository(folder)

    assert repository.default_reasons(repository.find("garments")) == [
        "garments: the most accurate of Fashion-MNIST",
        "things: there is no model of CIFAR-10",
    ]


def test_a_router_is_no_default_though_it_be_the_only_model(folder):
    add_router(folder)

    repository = Repository(folder)

    assert repository.defaults.router is repository.named("router")
    assert not repository.default_reasons(repository.find("router"))
    with pytest.raises(NoModel):
        repository.default(grey=False)


def test_a_model_named_router_with_other_labels_is_a_model_like_any_other(folder, forge):
    forge("router/1", dataset="own images (router)")

    repository = Repository(folder)

    assert repository.defaults.router is None
    assert repository.default_reasons(repository.find("router"))


def test_the_only_model_is_the_default_for_both_colours(folder, forge):
    forge("garments/1")

    repository = Repository(folder)

    assert repository.default(grey=True) is repository.default(grey=False)
    assert repository.default_reasons(repository.find("garments"))


def test_a_setting_names_the_default(folder, forge):
    forge("best/1", metrics=accuracy(0.95))
    forge("chosen/1", metrics=accuracy(0.3))
    forge("things/1", of="cifar-cnn")

    repository = Repository(folder, routing=Routing(grey="chosen"))

    assert repository.default(grey=True).card.name == "chosen"
    assert repository.default(grey=False).card.name == "things"
    defaults = {name for name, model in repository.models.items() if repository.default_reasons(model)}
    assert defaults == {"chosen", "things"}


def test_a_setting_may_name_a_model_of_the_other_colour(folder, forge):
    forge("garments/1")
    forge("things/1", of="cifar-cnn")

    assert Repository(folder, routing=Routing(colour="garments")).default(grey=False).card.name == "garments"


def test_without_a_setting_one_model_of_each_colour_is_the_default(folder, forge):
    forge("best/1", metrics=accuracy(0.95))
    forge("good/1", metrics=accuracy(0.9))
    forge("things/1", of="cifar-cnn")

    repository = Repository(folder)

    defaults = {name for name, model in repository.models.items() if repository.default_reasons(model)}
    assert defaults == {"best", "things"}


def test_a_missing_default_is_logged_and_does_not_affect_the_other_colour(folder, forge, caplog):
    forge("garments/1")
    forge("things/1", of="cifar-cnn")

    repository = Repository(folder, routing=Routing(grey="garmets"))

    assert "the default model 'garmets' is not here; add it, or change the setting" in caplog.text
    assert repository.default(grey=False).card.name == "things"
    assert not repository.default_reasons(repository.find("garments"))
    with pytest.raises(NoModel, match="No model for greyscale images is loaded"):
        repository.default(grey=True)


def test_a_default_that_cannot_be_loaded_is_not_the_default(folder, forge):
    forge("chosen/1").write_bytes(b"")
    forge("garments/1")

    repository = Repository(folder, routing=Routing(colour="chosen"))

    assert not repository.default_reasons(repository.find("chosen"))
    assert repository.default(grey=True).card.name == "garments"
    with pytest.raises(NoModel, match="No model for colour images is loaded"):
        repository.default(grey=False)


def test_a_file_named_like_a_version_is_ignored(folder, forge):
    forge("garments/1")
    (folder / "garments/9").touch()

    model = Repository(folder).find("garments")

    assert model.versions == ("1",)
    assert model.reason is None


def test_the_router_is_no_default_model_though_the_operator_names_it(folder, forge, caplog):
    forge("garments/1")
    add_router(folder)

    repository = Repository(folder, routing=Routing(colour="router"))

    assert "the default model 'router' only chooses between others" in caplog.text
    assert repository.default(grey=True).card.name == "garments"
    with pytest.raises(NoModel, match="No model for colour images is loaded"):
        repository.default(grey=False)
