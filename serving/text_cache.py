"""Cache results for short texts that clients send; long ones could fill the memory."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

MAX_CACHED_LENGTH = 1_024  # of a text, in characters or bytes: ample for what clients send again and again

P = ParamSpec("P")
T = TypeVar("T")
Text = TypeVar("Text", str, bytes)

OfText = Callable[Concatenate[Text, P], T]


def cached_if_short(maxsize: int) -> Callable[[OfText[Text, P, T]], OfText[Text, P, T]]:
    """Return a decorator that keeps the last results of a function whose first argument is a text."""

    def decorate(function: OfText[Text, P, T]) -> OfText[Text, P, T]:
        cached = lru_cache(maxsize=maxsize)(function)

        @wraps(function)
        def call(text: Text, /, *args: P.args, **kwargs: P.kwargs) -> T:
            chosen = cached if len(text) <= MAX_CACHED_LENGTH else function
            return chosen(text, *args, **kwargs)

        return call

    return decorate
