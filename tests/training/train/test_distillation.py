"""The teachers of a recipe: found among the models and the trained networks, and run."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from msgspec import UNSET, UnsetType

from serving.model.card import ContractError
from serving.model.classifier import Classifier
from training.graph.onnx_export import with_metadata
from training.recipes import RECIPES
from training.train.distillation import (
    COMMITTED_MODELS,
    Teacher,
    TeacherError,
    find_teacher,
    soft_labels,
    trained_file,
)
from training.train.loop import train_network
from training.train.precision import CPU_FLOAT32
from training.train.trained_network import from_checkpoint


def versions(models: Path, name: str, *numbers: str, limit: int | UnsetType = UNSET) -> Path:
    """Put a model in the place of each version, as trained on so many images; returns the folder of models."""
    original = COMMITTED_MODELS / "fashion-mlp/2/model.onnx"
    card = Classifier.open(original).card
    limited = msgspec.structs.replace(card, training=msgspec.structs.replace(card.training, limit=limit))
    for number in numbers:
        (models / name / number).mkdir(parents=True)
        (models / name / number / "model.onnx").write_bytes(with_metadata(onnx.load(original), limited.to_metadata()))
    return models


def test_the_teacher_is_the_newest_version(tmp_path):
    models = versions(tmp_path, "wise", "1", "9", "10")

    assert find_teacher("wise", models, {}).file == tmp_path / "wise" / "10" / "model.onnx"


def test_a_folder_that_is_not_a_version_or_has_no_model_is_skipped(tmp_path):
    models = versions(tmp_path, "wise", "1", "draft")
    (models / "wise" / "2").mkdir()

    assert find_teacher("wise", models, {}).file == tmp_path / "wise" / "1" / "model.onnx"


def test_a_model_of_a_rehearsal_teaches_other_rehearsals_alone(tmp_path):
    models = versions(tmp_path, "wise", "3", limit=100)

    assert find_teacher("wise", models, {}, limit=90).name == "wise:3"
    with pytest.raises(TeacherError, match="train it first"):
        find_teacher("wise", models, {})


def test_a_version_of_a_rehearsal_teaches_where_it_is_named(tmp_path):
    models = versions(tmp_path, "wise", "3", limit=100)

    assert find_teacher("wise:3", models, {}).name == "wise:3"


def test_a_damaged_teacher_is_refused(tmp_path):
    models = versions(tmp_path, "wise", "1")
    (models / "wise/1/model.onnx").write_bytes(b"damaged")

    with pytest.raises(ContractError, match=rf"{models}/wise/1/model\.onnx: "):
        find_teacher("wise", models, {})


def test_a_model_in_the_models_folder_comes_before_a_committed_one(tmp_path):
    models = versions(tmp_path, "fashion-mlp", "1")

    assert find_teacher("fashion-mlp", models, {}).file.is_relative_to(models)


@pytest.mark.parametrize("folder", [".", "nowhere"], ids=["empty", "missing"])
def test_a_committed_model_is_the_teacher_if_the_models_folder_has_none(tmp_path, folder):
    file = find_teacher("fashion-mlp", tmp_path / folder, {}).file

    assert file.is_relative_to(COMMITTED_MODELS)
    assert file.is_file()


def test_a_version_can_be_named(tmp_path):
    models = versions(tmp_path, "wise", "1", "9", "10")

    assert find_teacher("wise:9", models, {}).file == tmp_path / "wise" / "9" / "model.onnx"


def test_a_missing_teacher_is_refused_with_the_command_that_trains_it(tmp_path):
    with pytest.raises(TeacherError, match=rf"wise, .* python -m training\.export wise --models-dir {tmp_path}"):
        find_teacher("wise", tmp_path, {})


def committed(name: str) -> Teacher:
    return find_teacher(f"{name}:1", Path("nowhere"), {})


@pytest.fixture
def soft(garments, tmp_path):
    """Return the mean soft labels of teachers for views of test garments."""

    def soft(*teachers: Teacher, views: torch.Tensor) -> torch.Tensor:
        return soft_labels(teachers, views, garments.train, CPU_FLOAT32.device, tmp_path / "soft-labels.pt")

    return soft


def test_soft_labels_are_the_probabilities_that_the_service_gives_for_each_view(soft, garments):
    teacher = committed("fashion-mlp")
    views = torch.stack([garments.test.pixels, 255 - garments.test.pixels])

    labels = soft(teacher, views=views)

    classifier = Classifier.open(teacher.file)
    expected = np.stack([classifier.classify(view.numpy()) for view in views])
    assert labels.dtype == torch.float32
    assert np.abs(labels.numpy() - expected).max() <= 1e-6


def test_several_teachers_give_the_mean_of_their_probabilities(soft, garments):
    teachers = [committed(name) for name in ("fashion-mlp", "fashion-net")]
    views = garments.test.pixels[None, :20]

    mean = soft(*teachers, views=views)

    alone = [soft(teacher, views=views) for teacher in teachers]
    assert torch.allclose(mean, (alone[0] + alone[1]) / 2)
    assert not torch.equal(*alone)


def test_soft_labels_are_kept_for_a_training_that_is_resumed(soft, garments, tmp_path):
    views = garments.test.pixels[None, :20]
    first = soft(committed("fashion-mlp"), views=views)
    written = (tmp_path / "soft-labels.pt").stat().st_mtime_ns

    assert torch.equal(soft(committed("fashion-mlp"), views=views), first)
    assert (tmp_path / "soft-labels.pt").stat().st_mtime_ns == written
    assert not torch.equal(soft(committed("fashion-mlp"), views=255 - views), first)


@pytest.fixture
def wise(garments, tmp_path):
    """Train a teacher and keep its weights; return its recipe."""
    recipe = replace(RECIPES["lecture-mlp"], name="wise", epochs=1, mirrored=True)
    train, validation = garments.train.split(60)
    train_network(recipe, train, validation).save(recipe, train, trained_file(tmp_path, "wise"))
    return recipe


def test_a_network_that_was_only_trained_is_a_teacher_too(wise, soft, garments, tmp_path):
    teacher = find_teacher("wise", tmp_path, {"wise": wise})
    train, _ = garments.train.split(60)
    views = garments.test.pixels[None, :20]

    labels = soft_labels([teacher], views, train, CPU_FLOAT32.device, tmp_path / "soft-labels.pt")

    trained = from_checkpoint(wise, train, teacher.file)
    expected = trained.forward_features(views[0]).logits.softmax(1)
    assert torch.allclose(labels[0], expected, atol=1e-6)
    assert teacher.title.startswith("wise (mlp 784-128-10) sha256:")


def test_an_exported_model_comes_before_a_network_that_was_only_trained(wise, tmp_path):
    versions(tmp_path, "wise", "1")

    assert find_teacher("wise", tmp_path, {"wise": wise}).name == "wise:1"
