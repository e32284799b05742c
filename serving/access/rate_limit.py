"""The limit on a client's images, and its headers (draft-ietf-httpapi-ratelimit-headers)."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

UNITS = {"second": 1, "minute": 60, "hour": 3_600}  # in seconds
FORM = re.compile(rf"([1-9][0-9]{{0,8}})/({'|'.join(UNITS)})")


@dataclass(frozen=True)
class RateLimit:
    """So many images in so many seconds."""

    images: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.images} images per {next(unit for unit, seconds in UNITS.items() if seconds == self.seconds)}"

    @cached_property
    def policy(self) -> str:
        """The value of RateLimit-Policy."""
        return f'"default";q={self.images};w={self.seconds}'


class Quota(NamedTuple):
    """A client's quota after a request. remaining: images. wait: seconds until more are free. allowed: the request."""

    remaining: int
    wait: int
    allowed: bool = True

    @property
    def state(self) -> str:
        """The value of RateLimit."""
        return f'"default";r={self.remaining};t={self.wait}'


def parse_rate_limit(text: str) -> RateLimit:
    """Parse a limit such as 600/minute; raises ValueError."""
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError("Expected 1 to 999999999 images per second, minute or hour, such as 600/minute")
    return RateLimit(int(match[1]), UNITS[match[2]])
