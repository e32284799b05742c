"""Views: training images as the service will see them in photos."""

import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch

from training.datasets import views
from training.datasets.views import (
    PHOTOGRAPHED_VIEWS,
    garment_views,
    mixed_with_patterns,
    photographed,
    thing_views,
)

ROOT = Path(__file__).parents[3]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def garments(count: int) -> torch.Tensor:
    """Return light rectangles on black, as Fashion-MNIST shows garments."""
    pixels = torch.zeros(count, 28, 28, 1, dtype=torch.uint8)
    pixels[:, 4:24, 8:20] = 200
    return pixels


def things(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), generator=seeded(1)).to(torch.uint8)


VIEWS = pytest.mark.parametrize(("views", "images"), [(garment_views, garments), (thing_views, things)])


@VIEWS
@pytest.mark.parametrize("count", [1, 2, 40, 260])
def test_a_view_has_the_shape_and_type_of_the_images(views, images, count):
    pixels = images(count)

    seen = next(views(pixels, seeded()))

    assert (seen.shape, seen.dtype) == (pixels.shape, torch.uint8)


@VIEWS
def test_the_seed_decides_a_view_and_the_next_one_is_another(views, images):
    pixels = images(40)

    first, second = islice(views(pixels, seeded()), 2)

    assert torch.equal(next(views(pixels, seeded())), first)
    assert not torch.equal(first, second)


@VIEWS
def test_the_given_images_stay_as_they_are(views, images):
    pixels = images(40)
    before = pixels.clone()

    next(views(pixels, seeded()))

    assert torch.equal(pixels, before)


def has_a_grey_square(seen: torch.Tensor) -> torch.Tensor:
    """Return which images of a view were cut out: a mask [n]."""
    return (seen == 128).sum((1, 2, 3)) >= 12 * 12


def test_a_quarter_of_the_garments_were_photographed_and_the_others_have_a_grey_square():
    seen = next(garment_views(garments(200), seeded()))

    assert int(has_a_grey_square(seen).sum()) == 150


def test_photographed_garments_are_bright_on_black():
    seen = next(garment_views(garments(200), seeded()))
    photographed = seen[~has_a_grey_square(seen)]

    dark = (photographed < 30).float().mean((1, 2, 3))
    assert float(dark.median()) > 0.2
    assert float((photographed > 60).flatten(1).any(1).float().mean()) > 0.9


def test_other_images_are_photographed_in_the_next_view():
    first, second = map(has_a_grey_square, islice(garment_views(garments(200), seeded()), 2))

    assert not torch.equal(first, second)


def test_later_views_have_the_photos_of_an_earlier_one_shifted_a_little():
    drawn = list(islice(garment_views(garments(40), seeded()), PHOTOGRAPHED_VIEWS + 2))

    for first, later in zip(drawn, drawn[PHOTOGRAPHED_VIEWS:], strict=False):
        taken = ~has_a_grey_square(first)
        assert torch.equal(~has_a_grey_square(later), taken)
        assert not torch.equal(later, first)
        inner, shifted = first[taken][:, 2:-2, 2:-2], later[taken].unfold(1, 24, 1).unfold(2, 24, 1)
        places = shifted.permute(0, 1, 2, 4, 5, 3)[:, 1:4, 1:4].flatten(1, 2)
        assert bool((places == inner[:, None]).all((2, 3, 4)).any(1).all())


@pytest.mark.trains
def test_processes_read_photos_alike_also_where_a_system_has_no_affinity_and_then_end(monkeypatch):
    expected = photographed(garments(9), "garment", seeded())
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(views, "MIN_PHOTOS_FOR_POOL", 1)

    assert torch.equal(photographed(garments(9), "garment", seeded()), expected)

    assert multiprocessing.active_children() == []


POOL = """\
from training.datasets.views import _pool
print(_pool().submit(abs, -1).result(), flush=True)
input()
"""


@pytest.mark.trains
def test_processes_that_read_photos_end_with_the_one_that_started_them_though_it_is_killed():
    piped = partial(subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd=ROOT)
    with piped([sys.executable, "-c", POOL]) as started:
        try:
            assert started.stdout.readline() == b"1\n"

            started.kill()

            assert started.communicate(timeout=60) == (b"", None)  # the end of the output comes when all have ended
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)


def test_mixing_with_a_pattern_leaves_the_image_the_larger_part():
    images = torch.rand(60, 3, 32, 32, generator=seeded(2))

    mixed = mixed_with_patterns(images, seeded())

    assert 0 <= float(mixed.min()) <= float(mixed.max()) <= 1
    one, other = (each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (images, mixed))
    alike = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))
    assert float(alike.median()) > 0.5


@pytest.mark.parametrize(("fit", "images"), [("garment", garments), ("photo", things)])
def test_all_images_are_photographed_in_their_shape_and_the_seed_decides_how(fit, images):
    pixels = images(260)

    seen = photographed(pixels, fit, seeded())

    assert (seen.shape, seen.dtype) == (pixels.shape, torch.uint8)
    assert float(((seen.float() - pixels.float()).abs().mean((1, 2, 3)) > 1).float().mean()) > 0.9
    once, again, otherwise = (photographed(pixels[:9], fit, seeded(number)) for number in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, otherwise)
