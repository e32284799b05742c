"""Occlusion shows which pixels mattered; tested on images where the answer is known."""

import io

import numpy as np
import pytest
from graphs import infinity_for_plain_images, nan_for_plain_images
from PIL import Image

from serving.errors import InternalError
from serving.inference.occlusion import WINDOW_SHARES, explain, overlay
from serving.model.classifier import Classifier

NAMES = ("ankle-boot", "bag", "pullover", "sneaker")
CORNER = np.s_[1:6, 22:27]


@pytest.fixture(scope="module")
def mlp(models):
    return Classifier.open(models / "fashion-mlp" / "2" / "model.onnx")


@pytest.fixture(scope="module")
def cnn(models):
    return Classifier.open(models / "cifar-cnn" / "2" / "model.onnx")


@pytest.fixture(params=NAMES)
def garment(request, image):
    return np.asarray(Image.open(io.BytesIO(image(request.param))))[..., None]


def test_a_bright_patch_in_a_corner_gets_little_heat(mlp, garment):
    patched = garment.copy()
    patched[CORNER] = 255
    assert mlp.classify(patched[None]).argmax() == mlp.classify(garment[None]).argmax()

    explanation = explain(mlp, patched)

    assert explanation.heat[CORNER].mean() < 0.25 * explanation.heat.max()


@pytest.mark.parametrize("garment", ["ankle-boot", "bag", "sneaker"], indirect=True)  # a pullover has no background
def test_the_garment_gets_more_heat_than_its_background(mlp, garment):
    heat, worn = explain(mlp, garment).heat, garment[..., 0] > 13

    assert heat[worn].mean() > 1.5 * heat[~worn].mean()


def window(explanation, row, column):
    """Return the part of an input that the window at this place of the grid covers."""
    (tall, wide), (rows, columns) = explanation.window, explanation.grid.shape
    top, left = round(row * (28 - tall) / (rows - 1)), round(column * (28 - wide) / (columns - 1))
    return np.s_[top : top + tall, left : left + wide]


def test_a_pixels_heat_is_the_mean_fall_of_the_windows_that_cover_it(mlp, garment):
    explanation = explain(mlp, garment)
    sums, counts = np.zeros((28, 28)), np.zeros((28, 28))
    for place, fall in np.ndenumerate(explanation.grid):
        sums[window(explanation, *place)] += fall
        counts[window(explanation, *place)] += 1

    np.testing.assert_allclose(explanation.heat, sums / counts, atol=1e-5)


def test_covering_the_hottest_window_lowers_the_probability_by_its_fall(mlp, garment):
    explanation = explain(mlp, garment)
    hottest = np.unravel_index(explanation.grid.argmax(), explanation.grid.shape)

    covered = garment.copy()
    covered[window(explanation, *hottest)] = 0

    fall = explanation.probability - mlp.classify(covered[None])[0, explanation.index]
    assert fall == pytest.approx(explanation.grid.max(), abs=1e-5)
    assert fall > 0.1


def test_the_label_is_the_predicted_one_unless_another_is_requested(mlp, garment):
    probabilities = mlp.classify(garment[None])[0]

    predicted, other = explain(mlp, garment), explain(mlp, garment, 3)

    assert (predicted.index, other.index) == (probabilities.argmax(), 3)
    assert predicted.probability == pytest.approx(probabilities.max(), abs=1e-6)
    assert other.probability == pytest.approx(probabilities[3], abs=1e-6)


def test_a_uniform_image_has_no_heat(cnn):
    explanation = explain(cnn, np.full((32, 32, 3), 90, np.uint8))

    assert np.abs(explanation.grid).max() < 1e-5
    assert explanation.heat.shape == (32, 32)
    assert np.isfinite(explanation.heat).all()


@pytest.mark.parametrize("garment", ["sandal"], indirect=True)  # no small part decides
def test_where_a_small_window_changes_little_larger_ones_are_tried_and_the_largest_fall_is_returned(mlp, garment):
    explanation = explain(mlp, garment)

    assert explanation.window > (9, 9)  # which the smallest has
    for share in WINDOW_SHARES:
        side = int(28 * share)
        covered = garment.copy()
        covered[28 - side :, 28 - side :] = 0
        fall = explanation.probability - mlp.classify(covered[None])[0, explanation.index]
        assert fall <= explanation.grid.max() + 1e-6


def paint(heat, view, size):
    return np.asarray(Image.open(io.BytesIO(overlay(heat, view, size))).convert("RGBA"))


def test_the_overlay_has_the_size_of_the_upload_and_the_heat_in_the_right_place():
    heat = np.zeros((28, 28), np.float32)
    heat[:14, :14] = 0.8

    picture = paint(heat, (100, 40, 380, 320), (500, 400))

    assert picture.shape == (400, 500, 4)
    hot = picture[..., 3] > 90
    down, across = np.nonzero(hot)
    assert (across.min(), across.max()) == (pytest.approx(100, abs=6), pytest.approx(240, abs=6))
    assert (down.min(), down.max()) == (pytest.approx(40, abs=6), pytest.approx(180, abs=6))
    assert picture[100, 150].tolist()[:3] == [255, 0, 0]


def test_a_view_beyond_the_upload_is_cropped_to_it():
    picture = paint(np.ones((4, 4), np.float32), (-10, -10, 30, 30), (20, 20))

    assert picture.shape == (20, 20, 4)
    assert (picture[..., 3] > 100).all()


@pytest.mark.parametrize("level", [0.0, -0.5])
def test_the_overlay_is_transparent_where_nothing_mattered(level):
    picture = paint(np.full((4, 4), level, np.float32), (0, 0, 8, 8), (8, 8))

    assert (picture[..., 3] == 0).all()


def test_a_small_fall_is_painted_faintly():
    faint, strong = (paint(np.full((4, 4), fall, np.float32), (0, 0, 8, 8), (8, 8)) for fall in (0.02, 0.9))

    assert 0 < faint[4, 4, 3] < 60 < strong[4, 4, 3]


@pytest.mark.parametrize("edit", [nan_for_plain_images, infinity_for_plain_images])
def test_an_image_for_which_the_graph_gives_no_number_is_not_explained(forge, edit):
    spoilt = Classifier.open(forge("spoilt/1", edit=edit))

    with pytest.raises(InternalError, match="the model 'spoilt' gives NaN"):
        explain(spoilt, np.zeros((28, 28, 1), np.uint8))
