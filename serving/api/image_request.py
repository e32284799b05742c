"""A request with images: what it sends and asks for, and the record of what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from wsgiref.types import WSGIEnvironment

from serving.api.content import read_content
from serving.api.intake import Intake
from serving.api.query import parse_options, query_pairs, read_options
from serving.api.uploads import Uploads, read_uploads
from serving.errors import Refusal
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor


@contextmanager
def read_request(
    environ: WSGIEnvironment, predictor: Predictor, intake: Intake, names: tuple[str, ...]
) -> Iterator[tuple[Uploads, PredictOptions]]:
    """Yield the uploads and the options of a request, whose memory is reserved in the block. Raises Refusal.

    names: of the parameters that it may have. The predictor records a refusal, also one in the block.
    """
    start, query = perf_counter(), environ["QUERY_STRING"]
    options = read_options(query, names)
    try:
        with read_content(environ, intake) as content:
            uploads = read_uploads(environ, content, intake, names)
            if uploads.fields:
                options = parse_options([*query_pairs(query), *uploads.fields], names)
            yield uploads, options
    except Refusal as refusal:
        predictor.record_refusal(options, refusal, perf_counter() - start)
        raise
