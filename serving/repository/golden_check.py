"""Check that models still reproduce their golden samples; the result holds for a second, since probes come often."""

import threading
import time
from weakref import WeakSet

from serving.concurrency import run_in_thread
from serving.errors import NoModel
from serving.model.card import ContractError
from serving.model.classifier import Classifier
from serving.model.runtime import RUNTIME_ERRORS

VALID_SECONDS = 1.0  # for which models that were found good need not be asked again


class GoldenCheck:
    """Runs the golden samples once, however many ask at the same time or shortly after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._good: WeakSet[Classifier] = WeakSet()  # weak: so that replaced models are freed
        self._good_at = 0.0

    def check(self, classifiers: list[Classifier]) -> None:
        """Raise NoModel if one of these gives wrong answers."""
        with self._lock:  # whoever asks meanwhile waits for the same run
            if self._good == WeakSet(classifiers) and time.monotonic() < self._good_at + VALID_SECONDS:
                return
            self._good = WeakSet()
            for classifier in classifiers:
                _run(classifier)
            self._good, self._good_at = WeakSet(classifiers), time.monotonic()


def _run(classifier: Classifier) -> None:
    try:
        run_in_thread(classifier.check_golden)
    except ContractError as error:
        raise NoModel(f"The model {classifier.card.name!r} gives wrong answers: {error}.") from error
    except RUNTIME_ERRORS as error:
        raise NoModel(f"The graph of the model {classifier.card.name!r} fails: {error!r}.") from error
