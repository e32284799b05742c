"""Limit the images in flight, and refuse a request whose answer would come too late."""

import time
from types import TracebackType

from serving.errors import Overloaded

EXPLANATION_COST = 64  # images that an explanation counts as in flight: about the number of small windows


class Admission:
    """Counts the images that this process has admitted and not yet answered; requests take turns in one thread.

    Explanations have half of the room together, so that they never shut out the images to classify.
    """

    def __init__(self, max_images: int, timeout: float) -> None:
        """max_images: in flight; the last request may pass that. timeout: seconds that a request may wait."""
        self.max_images = max_images
        self.max_explained = max(1, max_images // 2)
        self.timeout = timeout
        self.in_flight = 0
        self.explained = 0  # of those in flight, that explanations count as

    def admit(self, images: int) -> "Admitted":
        """Return the block in which a request with that many images is answered."""
        return Admitted(self, images, 0)

    def admit_explanation(self) -> "Admitted":
        """Return the block in which an image is explained."""
        cost = min(EXPLANATION_COST, self.max_explained)
        return Admitted(self, cost, cost)


class Admitted:
    """A request in flight. Entering it raises Overloaded when there is no room or no time."""

    def __init__(self, admission: Admission, images: int, explained: int) -> None:
        """explained: of the images, those that are of an explanation."""
        self._admission = admission
        self._images = images
        self._explained = explained

    def __enter__(self) -> None:
        admission, arrived = self._admission, time.monotonic()
        if admission.in_flight >= admission.max_images:
            raise Overloaded(
                f"{admission.in_flight} images are in flight, and the limit is {admission.max_images}; ask again a "
                "little later."
            )
        if self._explained and admission.explained + self._explained > admission.max_explained:
            raise Overloaded("Too many explanations are in flight; ask again a little later.")
        self._count(1)
        in_time = False
        try:
            time.sleep(0)  # yield to the requests that came before, and to the reading of those that come after
            in_time = time.monotonic() - arrived <= admission.timeout
        finally:
            if not in_time:  # a block that is not entered is not exited either
                self._count(-1)
        if not in_time:
            raise Overloaded(f"The request waited for more than {admission.timeout:g} s; ask again a little later.")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._count(-1)

    def _count(self, sign: int) -> None:
        self._admission.in_flight += sign * self._images
        self._admission.explained += sign * self._explained
