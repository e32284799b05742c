"""The query parameters of a request for predictions."""

import re
from functools import lru_cache
from urllib.parse import parse_qsl

from serving.errors import BadRequest
from serving.inference.options import PredictOptions

TOP_K = re.compile(r"0*([1-9][0-9]*)")
DECIMAL = re.compile(r"0?\.[0-9]{1,20}")
MIN_COVERAGE, MAX_COVERAGE = 0.8, 0.99
BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


@lru_cache(maxsize=256)  # a client asks the same again and again
def read_options(query_string: str) -> PredictOptions:
    """Parse a query string; raises BadRequest naming the parameter that is malformed."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(query_string.encode("latin-1").decode("utf-8", "replace"), keep_blank_values=True):
        query.setdefault(name, value)
    model, colon, version = query.get("model", "").partition(":")
    if colon and not (model and version):
        raise BadRequest(f"model={query['model'][:120]!r} is neither NAME nor NAME:VERSION.")
    seen = query.get("seen", "")
    if seen.lower() not in BOOLEANS:
        raise BadRequest(f"seen={seen[:20]!r} is neither true nor false.")
    top_k, coverage = _top_k(query.get("top_k") or "5"), _coverage(query.get("coverage", ""))
    return PredictOptions(model or None, version, top_k, coverage, BOOLEANS[seen.lower()])


def _coverage(text: str) -> float | None:
    if not text:
        return None
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
