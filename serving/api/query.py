"""The parameters of a request for predictions: in its query, in form fields or in JSON members, alike."""

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from serving.errors import BadRequest
from serving.inference.options import PredictOptions
from serving.text_cache import cached_if_short

PARAMETERS = ("model", "top_k", "coverage", "seen")
EXPLAIN_PARAMETERS = (*PARAMETERS, "label")
TOP_K = re.compile(r"0*([1-9][0-9]*)")
DECIMAL = re.compile(r"0?\.[0-9]{1,20}")
MIN_COVERAGE, MAX_COVERAGE = 0.8, 0.99
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

Parameter = tuple[str, str]  # a parameter's name and its value as text; an empty value asks for the default


@cached_if_short(maxsize=256)  # a client asks the same again and again
def read_options(query_string: str, names: tuple[str, ...] = PARAMETERS) -> PredictOptions:
    """Parse a query string; raises BadRequest naming the parameter that is unknown, malformed or said differently."""
    return parse_options(query_pairs(query_string), names)


def query_pairs(query_string: str) -> list[Parameter]:
    """Return the names and values of a query string as WSGI gives it."""
    return parse_qsl(query_string.encode("latin-1").decode("utf-8", "replace"), keep_blank_values=True)


def parse_options(pairs: Iterable[Parameter], names: tuple[str, ...]) -> PredictOptions:
    """Parse parameters from wherever they stand; raises BadRequest as read_options does.

    names: the parameters that exist.
    """
    given: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for name, text in pairs:
        check_name(name, names)
        if not text:
            continue
        value = PARSERS[name](text)
        first = texts.setdefault(name, text)
        if given.setdefault(name, value) != value:
            raise BadRequest(f"{name} is given twice, as {first[:120]!r} and as {text[:120]!r}; give it once.")
    model, version = given.pop("model", (None, ""))
    return PredictOptions(model, version, **given)


def check_name(name: str, names: tuple[str, ...], advice: str = "") -> None:
    """Raise BadRequest for the name of a parameter that does not exist, with those that do and further advice."""
    if name not in names:
        raise BadRequest(f"There is no parameter {name[:120]!r}. Parameters: {', '.join(names)}.{advice}")


def _model(text: str) -> tuple[str, str]:
    """Return name and version; without a version it is empty."""
    model, colon, version = text.partition(":")
    if colon and not (model and version):
        raise BadRequest(f"model={text[:120]!r} is neither NAME nor NAME:VERSION.")
    return model, version


def _seen(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise BadRequest(f"seen={text[:20]!r} is neither true nor false.")
    return BOOLEANS[text.lower()]


def _coverage(text: str) -> float:
    if not DECIMAL.fullmatch(text) or not MIN_COVERAGE <= float(text) <= MAX_COVERAGE:
        raise BadRequest(
            f"coverage={text[:20]!r} is not a number from {MIN_COVERAGE:g} to {MAX_COVERAGE:g}; 0.9 asks for label "
            "sets that hold the true label nine times out of ten."
        )
    return float(text)


def _top_k(text: str) -> int:
    digits = TOP_K.fullmatch(text)
    if digits is None:
        raise BadRequest(f"top_k={text[:20]!r} is not a whole number of at least 1.")
    return int(digits[1][:9])  # nine digits are more than any number of classes


PARSERS: dict[str, Callable[[str], Any]] = {
    "model": _model,
    "top_k": _top_k,
    "coverage": _coverage,
    "seen": _seen,
    "label": str,
}
