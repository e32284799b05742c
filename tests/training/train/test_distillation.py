"""The teacher of a recipe: found among the models, and run through onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serving.model.classifier import Classifier
from training.train.distillation import COMMITTED_MODELS, TeacherError, find_teacher, soft_labels


def versions(models: Path, name: str, *numbers: str) -> Path:
    """Put an empty file in place of each version's model; returns the folder of models."""
    for number in numbers:
        (models / name / number).mkdir(parents=True)
        (models / name / number / "model.onnx").touch()
    return models


def test_the_teacher_is_the_newest_version(tmp_path):
    models = versions(tmp_path, "wise", "1", "9", "10")

    assert find_teacher("wise", models) == tmp_path / "wise" / "10" / "model.onnx"


def test_a_folder_that_is_not_a_version_or_has_no_model_is_skipped(tmp_path):
    models = versions(tmp_path, "wise", "1", "draft")
    (models / "wise" / "2").mkdir()

    assert find_teacher("wise", models) == tmp_path / "wise" / "1" / "model.onnx"


def test_a_model_in_the_models_folder_comes_before_a_committed_one(tmp_path):
    models = versions(tmp_path, "fashion-mlp", "1")

    assert find_teacher("fashion-mlp", models).is_relative_to(models)


@pytest.mark.parametrize("folder", [".", "nowhere"], ids=["empty", "missing"])
def test_a_committed_model_is_the_teacher_if_the_models_folder_has_none(tmp_path, folder):
    file = find_teacher("fashion-mlp", tmp_path / folder)

    assert file.is_relative_to(COMMITTED_MODELS)
    assert file.is_file()


def test_a_missing_teacher_is_refused_with_the_command_that_trains_it(tmp_path):
    with pytest.raises(TeacherError, match=rf"wise, .* python -m training\.export wise --models-dir {tmp_path}"):
        find_teacher("wise", tmp_path)


def test_soft_labels_are_the_probabilities_that_the_service_gives(models, garments):
    file = models / "fashion-mlp" / "1" / "model.onnx"

    soft = soft_labels(file, garments.test.pixels)

    expected = Classifier.open(file).classify(garments.test.pixels.numpy())
    assert soft.dtype == torch.float32
    assert np.abs(soft.numpy() - expected).max() <= 1e-6
