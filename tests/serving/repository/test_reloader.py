"""What becomes of the models when their folder changes while they answer."""

import os
import shutil
import weakref

import numpy as np
import onnx
import pytest
from cards import read_card

from serving.errors import NoModel, UnknownModel
from serving.repository.repository import Repository

LINKS = "..data"  # as a volume of Kubernetes is changed: by one link, through which all others go


@pytest.fixture
def loadings():
    return []


@pytest.fixture
def follow(folder, loadings):
    """Return a starter of a repository that notes what it loads."""
    return lambda: Repository(folder, heard=loadings.append)


def look_twice(repository):
    repository.poll()
    repository.poll()


def answering(repository, name="garments"):
    return repository.named(name).card.version


def other_golden(folder):
    """Return golden samples that no sound graph answers."""
    golden = read_card(onnx.load(folder / "garments/1/model.onnx"))["golden"]
    return [{**sample, "probabilities": sample["probabilities"][::-1]} for sample in golden]


SPOILT = {
    "half a file": lambda forge, folder: halve(forge("garments/2")),
    "another card": lambda forge, folder: forge("garments/2", schema=2),
    "wrong answers": lambda forge, folder: forge("garments/2", golden=other_golden(folder)),
    "nothing": lambda forge, folder: (folder / "garments/2").mkdir(),
    "a folder": lambda forge, folder: (folder / "garments/2/model.onnx").mkdir(parents=True),
    "a pipe": lambda forge, folder: os.mkfifo(beside(folder / "garments/2/model.onnx")),
    "a device": lambda forge, folder: beside(folder / "garments/2/model.onnx").symlink_to("/dev/zero"),
    "a circle": lambda forge, folder: beside(folder / "garments/2/model.onnx").symlink_to("model.onnx"),
    "a circle of folders": lambda forge, folder: (folder / "garments/2").symlink_to("2"),
    "a file of terabytes": lambda forge, folder: os.truncate(forge("garments/2"), 2**42),
}


def halve(path):
    os.truncate(path, path.stat().st_size // 2)


def beside(path):
    path.parent.mkdir()
    return path


@pytest.mark.parametrize("way", SPOILT)
def test_a_bad_new_version_is_reported_once_while_the_old_one_answers(follow, forge, folder, loadings, caplog, way):
    forge("garments/1")
    repository = follow()
    SPOILT[way](forge, folder)

    for _ in range(4):
        repository.poll()

    reason = repository.find("garments").files["2"].reason
    assert answering(repository) == "1"
    assert "garments/2/model.onnx: " in reason
    assert caplog.text.count(reason) == 1
    assert [(loading.version, loading.reason) for loading in loadings] == [("1", None), ("2", reason)]


def test_a_bad_version_that_is_mended_answers(follow, forge, folder):
    forge("garments/1")
    path = forge("garments/2")
    whole = path.read_bytes()
    halve(path)
    repository = follow()

    path.write_bytes(whole)
    look_twice(repository)

    assert answering(repository) == "2"
    assert repository.find("garments").reason is None


def test_a_new_version_answers_once_it_has_looked_the_same_twice(follow, forge):
    forge("garments/1")
    repository = follow()
    forge("garments/2")

    repository.poll()
    assert answering(repository) == "1"

    repository.poll()
    assert answering(repository) == "2"
    assert repository.find("garments").versions == ("1", "2")


def test_a_file_that_still_grows_is_left_alone(follow, forge, loadings):
    forge("garments/1")
    repository = follow()
    path = forge("garments/2")
    whole = path.read_bytes()

    for length in (1000, 200_000, len(whole)):
        path.write_bytes(whole[:length])
        repository.poll()

    assert len(loadings) == 1
    repository.poll()
    assert answering(repository) == "2"


def test_a_model_that_is_being_written_does_not_hold_up_another(follow, forge):
    forge("garments/1")
    repository = follow()
    forge("shoes/1")
    path = forge("garments/2")

    repository.poll()
    os.truncate(path, 1000)
    repository.poll()

    assert answering(repository, "shoes") == "1"
    assert answering(repository) == "1"


def test_a_new_model_appears_and_may_be_a_default(follow, forge):
    repository = follow()
    forge("garments/1")

    look_twice(repository)

    assert repository.default(grey=True) is repository.named("garments")


def test_when_a_version_is_taken_away_the_highest_one_left_answers(follow, forge, folder):
    forge("garments/1")
    forge("garments/2")
    repository = follow()
    in_flight = repository.named("garments")

    shutil.rmtree(folder / "garments/2")
    look_twice(repository)

    assert answering(repository) == "1"
    assert in_flight.classify(np.zeros((1, 28, 28, 1), np.uint8)).shape == (1, 10)
    with pytest.raises(UnknownModel, match="no version '2'; there are: 1"):
        repository.named("garments", "2")


def test_a_model_that_is_taken_away_vanishes(follow, forge, folder):
    forge("garments/1")
    forge("shoes/1")
    repository = follow()

    shutil.rmtree(folder / "garments")
    look_twice(repository)

    assert list(repository.models) == ["shoes"]
    with pytest.raises(UnknownModel, match="there are: shoes"):
        repository.named("garments")


def test_a_file_that_is_taken_away_answers_no_more_though_its_folder_is_left(follow, forge):
    path = forge("garments/1")
    repository = follow()

    path.unlink()
    look_twice(repository)

    with pytest.raises(NoModel, match=r"garments/1/model\.onnx: cannot be read: No such file"):
        repository.named("garments")


def test_another_file_in_a_versions_place_answers_under_its_own_digest(follow, forge, folder):
    forge("garments/1")
    repository = follow()
    before = repository.named("garments")

    shutil.rmtree(folder / "garments/1")
    forge("garments/1", title="Another")
    look_twice(repository)

    after = repository.named("garments")
    assert after.card.title == "Another"
    assert after.digest != before.digest


def test_a_bad_file_in_a_versions_place_leaves_the_one_before_answering(follow, forge):
    path = forge("garments/1")
    repository = follow()
    before = repository.named("garments")

    halve(path)
    look_twice(repository)

    assert repository.named("garments") is before
    assert "garments/1/model.onnx: onnxruntime cannot load it" in repository.find("garments").reason


def test_the_same_bytes_written_again_are_not_loaded_again(follow, forge, loadings):
    path = forge("garments/1")
    repository = follow()
    before = repository.named("garments")

    path.write_bytes(path.read_bytes())
    look_twice(repository)

    assert repository.named("garments") is before
    assert len(loadings) == 1


def test_a_volume_that_is_changed_by_one_link_is_followed(folder, forge):
    for number in ("1", "2"):
        forge(f"{number}/1", name="garments", title=f"The {number}.")
    volume = folder / "volume"
    volume.mkdir()
    (volume / LINKS).symlink_to(folder / "1")
    (volume / "garments").symlink_to(f"{LINKS}/.")
    repository = Repository(volume)
    assert repository.named("garments").card.title == "The 1."

    (volume / "new").symlink_to(folder / "2")
    (volume / "new").replace(volume / LINKS)
    look_twice(repository)

    assert repository.named("garments").card.title == "The 2."


def test_a_folder_that_cannot_be_looked_at_leaves_everything_as_it_was(follow, forge, folder, caplog):
    forge("garments/1")
    repository = follow()

    folder.rename(folder.with_name("away"))
    for _ in range(3):
        repository.poll()
    assert answering(repository) == "1"
    assert caplog.text.count("models: cannot be read: No such file or directory") == 1

    folder.with_name("away").rename(folder)
    forge("garments/2")
    look_twice(repository)
    assert answering(repository) == "2"


def test_a_models_folder_that_cannot_be_read_leaves_it_as_it_was(follow, forge, folder):
    forge("garments/1")
    repository = follow()

    (folder / "garments").rename(folder / ".garments")
    (folder / "garments").symlink_to("garments")  # which even root cannot follow
    look_twice(repository)
    assert answering(repository) == "1"
    assert "garments: cannot be read: Too many levels of symbolic links" in repository.find("garments").reason

    (folder / "garments").unlink()
    (folder / ".garments").rename(folder / "garments")
    look_twice(repository)
    assert repository.find("garments").reason is None


def test_a_folder_whose_name_no_model_can_have_is_reported_once(follow, folder, caplog):
    (folder / "my models").mkdir()
    (folder / os.fsdecode(b"\xff")).mkdir()
    repository = follow()
    look_twice(repository)

    assert repository.models == {}
    assert caplog.text.count("my models': no model's name") == 1
    assert caplog.text.count(r"\udcff': no model's name") == 1


def test_a_version_that_no_longer_answers_gives_its_memory_back(follow, forge):
    forge("garments/1")
    repository = follow()
    before = weakref.ref(repository.named("garments"))

    forge("garments/2")
    look_twice(repository)

    assert before() is None
    assert repository.find("garments").files["1"].state == "idle"


def test_a_version_that_a_client_named_stays_loaded(follow, forge):
    forge("garments/1")
    forge("garments/2")
    repository = follow()
    named = repository.named("garments", "1")

    forge("garments/3")
    look_twice(repository)

    assert repository.named("garments", "1") is named


def test_a_version_that_a_client_named_is_followed_too(follow, forge, folder):
    forge("garments/1")
    forge("garments/2")
    repository = follow()
    repository.named("garments", "1")

    shutil.rmtree(folder / "garments/1")
    forge("garments/1", title="Another")
    look_twice(repository)

    assert repository.named("garments", "1").card.title == "Another"


def test_an_idle_version_is_loaded_as_it_is_when_it_is_named(follow, forge, folder):
    forge("garments/1")
    forge("garments/2")
    repository = follow()

    shutil.rmtree(folder / "garments/1")
    forge("garments/1", title="Another")
    look_twice(repository)

    assert repository.named("garments", "1").card.title == "Another"


def test_who_answers_is_logged_when_that_changes(follow, forge, caplog):
    caplog.set_level("INFO")
    forge("garments/1")
    repository = follow()

    forge("garments/2")
    for _ in range(4):
        repository.poll()

    assert [record.message for record in caplog.records] == ["models ready: garments:1", "models ready: garments:2"]
