import pytest

from training.lecture.descent import Networks, descend
from training.lecture.symmetry import alike, difference

STARTS, STEPS = 30, 2_000


@pytest.fixture(scope="module")
def drawn() -> Networks:
    return Networks.drawn(STARTS, units=4)


def test_units_that_begin_alike_move_and_stay_alike_to_the_last_bit(drawn):
    ended = descend(alike(drawn), 0.1, STEPS).ended

    assert float((ended.w - alike(drawn).w).abs().max()) > 0.1
    assert difference(ended) == 0


def test_units_that_begin_alike_never_find_xor(drawn):
    assert descend(alike(drawn), 0.1, STEPS).share == 0


def test_units_that_begin_at_random_differ_and_often_find_xor(drawn):
    random = descend(drawn, 0.1, STEPS)

    assert difference(random.ended) > 0.1
    assert random.share > 0.3
