"""Cache what is made of texts that clients send: short ones alone, so that nobody fills the memory with long ones."""

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
