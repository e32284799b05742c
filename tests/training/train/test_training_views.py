"""Views: drawn once for all recipes that learn them."""

import multiprocessing
from dataclasses import replace

import pytest
import torch

from training.datasets import views
from training.recipes import RECIPES
from training.train.precision import CPU_FLOAT32
from training.train.training_views import TrainingViews, draw_views

RECIPE = replace(RECIPES["fashion-net"], views=2)
FILE = "garment_views.pt"


@pytest.fixture
def draw(garments, tmp_path):
    def draw(recipe=RECIPE, images=slice(20)):
        return draw_views(recipe, garments.test.pixels[images], CPU_FLOAT32.device, tmp_path)

    return draw


@pytest.mark.trains
def test_no_process_that_read_photos_is_left(draw, monkeypatch):
    monkeypatch.setattr(views, "MIN_PHOTOS_FOR_POOL", 1)

    assert len(draw()) == 2

    assert multiprocessing.active_children() == []


def test_so_many_views_are_drawn_and_each_is_another(draw):
    views = draw()

    assert (views.shape, views.dtype) == ((2, 20, 28, 28, 1), torch.uint8)
    assert not torch.equal(views[0], views[1])


def test_no_more_are_drawn_than_there_are_epochs(draw):
    assert len(draw(replace(RECIPE, epochs=1))) == 1


def test_they_are_kept_for_another_recipe(draw, tmp_path):
    first = draw()
    written = (tmp_path / FILE).stat().st_mtime_ns

    assert torch.equal(draw(replace(RECIPES["fashion-teacher"], views=2)), first)
    assert (tmp_path / FILE).stat().st_mtime_ns == written


def test_fewer_than_are_kept_are_the_first_of_them_and_more_begin_with_them(draw, tmp_path):
    two = draw()

    assert torch.equal(draw(replace(RECIPE, views=1)), two[:1])
    three = draw(replace(RECIPE, views=3))
    assert len(three) == 3
    assert torch.equal(three[:2], two)
    assert torch.equal(draw(), two)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_view_that_is_taken_again_is_flipped_the_other_way(count):
    views = TrainingViews(torch.zeros(count, 1, 1, 1, 1, dtype=torch.uint8))
    first, second, third = (
        [views.is_flipped(1 + number + turn * count) for number in range(count)] for turn in range(3)
    )

    assert first == third == [number % 2 == 1 for number in range(count)]
    assert second == [not flipped for flipped in first]


def test_those_of_another_seed_or_of_other_images_are_drawn_anew(draw):
    first = draw()

    assert not torch.equal(draw(images=slice(20, 40)), first)
    assert torch.equal(draw(), first)
    assert not torch.equal(draw(replace(RECIPE, seed=7)), first)


def test_those_of_another_version_which_names_their_number_are_drawn_anew(draw, tmp_path):
    drawn = draw()
    saved = torch.load(tmp_path / FILE, weights_only=True)
    saved["identity"]["views"] = 2
    saved["state"]["views"].zero_()
    torch.save(saved, tmp_path / FILE)

    assert torch.equal(draw(), drawn)


def test_those_of_a_damaged_file_are_drawn_anew(draw, tmp_path):
    drawn = draw()
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])

    assert torch.equal(draw(), drawn)
    assert (tmp_path / FILE).read_bytes() != whole[: len(whole) // 2]


def test_without_a_view_the_images_are_as_they_are(draw, garments, tmp_path):
    assert torch.equal(draw(replace(RECIPE, view=None)), garments.test.pixels[None, :20])
    assert not (tmp_path / FILE).exists()
