"""Overload is refused at once, and nobody waits for ever."""

import time

import pytest

from serving.inference.admission import Admission
from serving.errors import Overloaded


def test_images_are_in_flight_until_they_are_answered():
    admission = Admission(images=4, seconds=1)

    with admission.admit(3):
        assert admission.in_flight == 3
        with admission.admit(1):
            assert admission.in_flight == 4

    assert admission.in_flight == 0


def test_what_comes_on_top_is_refused_and_leaves_no_trace():
    admission = Admission(images=4, seconds=1)

    with admission.admit(4), pytest.raises(Overloaded, match="4 images are being answered, and 4 are as many"):
        admission.admit(1).__enter__()

    assert admission.in_flight == 0


def test_a_large_request_is_taken_where_there_is_any_room():
    admission = Admission(images=4, seconds=1)

    with admission.admit(3), admission.admit(64):
        assert admission.in_flight == 67
        with pytest.raises(Overloaded):
            admission.admit(1).__enter__()


def test_a_request_whose_connection_ends_while_it_waits_leaves_no_trace(monkeypatch):
    admission = Admission(images=4, seconds=1)

    def ended(_):
        raise GeneratorExit

    monkeypatch.setattr(time, "sleep", ended)

    with pytest.raises(GeneratorExit):
        admission.admit(1).__enter__()

    assert admission.in_flight == 0


def test_a_request_that_waited_too_long_is_refused_and_leaves_no_trace(monkeypatch):
    admission = Admission(images=4, seconds=0.01)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda _: sleep(0.05))  # the turn of others

    with pytest.raises(Overloaded, match=r"waited for more than 0\.01 s"):
        admission.admit(1).__enter__()

    assert admission.in_flight == 0


def test_a_failure_leaves_no_trace():
    admission = Admission(images=4, seconds=1)

    with pytest.raises(ValueError, match="broken"), admission.admit(2):
        raise ValueError("broken")

    assert admission.in_flight == 0
