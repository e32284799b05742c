"""Overload is refused at once, and a request that waited too long is refused too."""

import time

import pytest

from serving.errors import Overloaded
from serving.inference.admission import EXPLANATION_COST, Admission


def test_images_are_in_flight_until_they_are_answered():
    admission = Admission(max_images=4, timeout=1)

    with admission.admit(3):
        assert admission.in_flight == 3
        with admission.admit(1):
            assert admission.in_flight == 4

    assert admission.in_flight == 0


def test_a_request_beyond_the_limit_is_refused_and_not_counted():
    admission = Admission(max_images=4, timeout=1)

    with admission.admit(4), pytest.raises(Overloaded, match="4 images are in flight, and the limit is 4; ask again"):
        admission.admit(1).__enter__()

    assert admission.in_flight == 0


def test_a_large_request_is_admitted_while_there_is_any_room():
    admission = Admission(max_images=4, timeout=1)

    with admission.admit(3), admission.admit(64):
        assert admission.in_flight == 67
        with pytest.raises(Overloaded):
            admission.admit(1).__enter__()


def test_a_request_whose_connection_ends_while_it_waits_is_not_counted(while_waiting):
    admission = Admission(max_images=4, timeout=1)

    def end():
        raise GeneratorExit

    while_waiting(end)

    with pytest.raises(GeneratorExit):
        admission.admit(1).__enter__()

    assert admission.in_flight == 0


def test_a_request_that_waited_too_long_is_refused_and_not_counted(while_waiting):
    admission = Admission(max_images=4, timeout=0.01)
    while_waiting(lambda: time.sleep(0.05))

    with pytest.raises(Overloaded, match=r"waited for more than 0\.01 s"):
        admission.admit(1).__enter__()

    assert admission.in_flight == 0


def test_the_images_of_a_failed_request_are_no_longer_in_flight():
    admission = Admission(max_images=4, timeout=1)

    with pytest.raises(ValueError, match="broken"), admission.admit(2):
        raise ValueError("broken")

    assert admission.in_flight == 0


def test_explanations_have_half_of_the_room_together():
    admission = Admission(max_images=4 * EXPLANATION_COST, timeout=1)

    with admission.admit_explanation(), admission.admit_explanation():
        assert admission.in_flight == 2 * EXPLANATION_COST
        with pytest.raises(Overloaded, match="Too many explanations are in flight; ask again"):
            admission.admit_explanation().__enter__()
        with admission.admit(2 * EXPLANATION_COST):
            pass

    assert (admission.in_flight, admission.explained) == (0, 0)


def test_images_may_take_all_the_room():
    admission = Admission(max_images=128, timeout=1)

    with admission.admit(128), pytest.raises(Overloaded, match="128 images are in flight"):
        admission.admit_explanation().__enter__()
