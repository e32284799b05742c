"""The check of golden samples, which many probes share."""

import msgspec
import numpy as np
import pytest
from graphs import error_for_plain_images

from serving.errors import NoModel
from serving.model.card import Golden
from serving.repository import golden_check
from serving.repository.golden_check import GoldenCheck
from serving.repository.repository import Repository


@pytest.fixture
def ready(models):
    return Repository(models).ready()


@pytest.fixture
def wrong(monkeypatch):
    """Return a function after which all models give wrong answers."""
    return lambda: monkeypatch.setattr("serving.model.classifier.GOLDEN_TOLERANCE", -1.0)


def test_models_that_were_good_are_not_asked_again_at_once(ready, wrong, monkeypatch):
    check = GoldenCheck()
    check.check(ready)
    wrong()

    check.check(ready)

    monkeypatch.setattr(golden_check, "VALID_SECONDS", 0.0)
    with pytest.raises(NoModel, match="gives wrong answers"):
        check.check(ready)


def test_other_models_are_asked_at_once(ready, wrong):
    check = GoldenCheck()
    check.check(ready)
    wrong()

    with pytest.raises(NoModel, match=f"{ready[0].card.name!r} gives wrong answers"):
        check.check(ready[:1])


def test_models_that_were_wrong_are_asked_again(ready, monkeypatch):
    check = GoldenCheck()
    with monkeypatch.context() as patch:
        patch.setattr("serving.model.classifier.GOLDEN_TOLERANCE", -1.0)
        with pytest.raises(NoModel):
            check.check(ready)

    check.check(ready)


def test_a_model_whose_graph_fails_by_now_is_not_ready(forge, folder):
    forge(edit=error_for_plain_images)
    (classifier,) = Repository(folder).ready()
    plain = Golden.of(np.zeros(classifier.shape, np.uint8), np.full(10, 0.1, np.float32))
    classifier.card = msgspec.structs.replace(classifier.card, golden=[plain])  # as where memory has run out by now

    with pytest.raises(NoModel, match="The graph of the model 'fashion-mlp' fails: InvalidArgument"):
        GoldenCheck().check([classifier])
