"""Limit the images in flight, and refuse a request whose answer would come too late."""

import time
from types import TracebackType

from serving.errors import Overloaded


class Admission:
    """Counts the images that this process has admitted and not yet answered; requests take turns in one thread."""

    def __init__(self, max_images: int, timeout: float) -> None:
        """max_images: in flight; the last request may pass that. timeout: seconds that a request may wait."""
        self.max_images = max_images
        self.timeout = timeout
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
        if admission.in_flight >= admission.max_images:
            raise Overloaded(
                f"{admission.in_flight} images are in flight, and the limit is {admission.max_images}; ask again a "
                "little later."
            )
        admission.in_flight += self._images
        in_time = False
        try:
            time.sleep(0)  # yield to the requests that came before, and to the reading of those that come after
            in_time = time.monotonic() - arrived <= admission.timeout
        finally:
            if not in_time:  # a block that is not entered is not exited either
                admission.in_flight -= self._images
        if not in_time:
            raise Overloaded(f"The request waited for more than {admission.timeout:g} s; ask again a little later.")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._admission.in_flight -= self._images
