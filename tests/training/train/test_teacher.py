"""The teacher of a recipe: found among the models, and asked through onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serving.model.classifier import Classifier
from training.train.teacher import COMMITTED, TeacherError, find_teacher, soft_labels


def versions(models: Path, name: str, *numbers: str) -> Path:
    """Put a file in the place of a model, for each version; returns the folder of models."""
    for number in numbers:
        (models / name / number).mkdir(parents=True)
        (models / name / number / "model.onnx").touch()
    return models


def test_the_newest_version_teaches(tmp_path):
    models = versions(tmp_path, "wise", "1", "9", "10")

    assert find_teacher("wise", models) == tmp_path / "wise" / "10" / "model.onnx"


def test_a_folder_that_is_no_version_or_holds_no_model_is_passed_over(tmp_path):
    models = versions(tmp_path, "wise", "1", "draft")
    (models / "wise" / "2").mkdir()

    assert find_teacher("wise", models) == tmp_path / "wise" / "1" / "model.onnx"


def test_a_model_of_ones_own_teaches_before_one_that_came_with_the_code(tmp_path):
    models = versions(tmp_path, "fashion-mlp", "1")

    assert find_teacher("fashion-mlp", models).is_relative_to(models)


@pytest.mark.parametrize("folder", [".", "nowhere"], ids=["empty", "missing"])
def test_a_model_that_came_with_the_code_teaches_where_there_is_none_of_ones_own(tmp_path, folder):
    file = find_teacher("fashion-mlp", tmp_path / folder)

    assert file.is_relative_to(COMMITTED)
    assert file.is_file()


def test_a_teacher_that_is_nowhere_is_refused_with_the_command_that_trains_it(tmp_path):
    with pytest.raises(TeacherError, match=rf"wise, .* python -m training\.export wise --models-dir {tmp_path}"):
        find_teacher("wise", tmp_path)


def test_soft_labels_are_what_the_service_answers(models, garments):
    file = models / "fashion-mlp" / "1" / "model.onnx"

    soft = soft_labels(file, garments.test.pixels)

    expected = Classifier.open(file).classify(garments.test.pixels.numpy())
    assert soft.dtype == torch.float32
    assert np.abs(soft.numpy() - expected).max() <= 1e-6
