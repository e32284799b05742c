"""Honest overload: only so many images are in flight at once, and nobody waits for an answer that comes too late."""

import time
from types import TracebackType

from serving.errors import Overloaded


class Admission:
    """Counts the images that this process has taken on and not yet answered; its requests take turns in one thread."""

    def __init__(self, images: int, seconds: float) -> None:
        """images: how many may be in flight; the last request may pass that. seconds: how long one may wait."""
        self.most = images
        self.seconds = seconds
        self.in_flight = 0

    def admit(self, images: int) -> "Admitted":
        """Return the block in which a request with that many images is answered."""
        return Admitted(self, images)


class Admitted:
    """A request in flight. Entering it raises Overloaded when there is no room or no time."""

    def __init__(self, admission: Admission, images: int) -> None:
        self._admission = admission
        self._images = images

    def __enter__(self) -> None:
        admission, arrived = self._admission, time.monotonic()
        if admission.in_flight >= admission.most:
            raise Overloaded(
                f"{admission.in_flight} images are being answered, and {admission.most} are as many as are taken on; "
                "ask again a little later."
            )
        admission.in_flight += self._images
        its_turn = False
        try:
            time.sleep(0)  # the turn of those that came before, and of reading those that come after
            its_turn = time.monotonic() - arrived <= admission.seconds
        finally:
            if not its_turn:  # what is not entered is not left either
                admission.in_flight -= self._images
        if not its_turn:
            raise Overloaded(f"The request waited for more than {admission.seconds:g} s; ask again a little later.")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._admission.in_flight -= self._images
