"""POST /classify: images in, predictions out."""

from time import perf_counter
from typing import Any
from wsgiref.types import WSGIEnvironment

import msgspec
from flask import Blueprint, Response, request

from serving.api.html_replies import answers_page, is_browser_form
from serving.api.image_request import read_request
from serving.api.intake import Intake
from serving.api.query import PARAMETERS
from serving.api.replies import Reply, prediction_headers
from serving.api.uploads import Uploads
from serving.errors import Refusal
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.inference.timings import TIMINGS_KEY
from serving.prediction import Prediction

PATH = "/classify"


class Classify:
    """The view: takes a WSGI environ, returns the reply. Raises Refusal."""

    def __init__(self, predictor: Predictor, intake: Intake) -> None:
        self._predictor = predictor
        self._intake = intake

    def __call__(self, environ: WSGIEnvironment) -> Reply:
        """Classify each image of a request, or refuse them all."""
        with read_request(environ, self._predictor, self._intake, PARAMETERS) as (uploads, options):
            return self._answer(environ, uploads, options)

    def _answer(self, environ: WSGIEnvironment, uploads: Uploads, options: PredictOptions) -> Reply:
        self._intake.charge(environ, len(uploads.images))
        arrived = perf_counter()
        with self._intake.admission.admit(len(uploads.images)):
            predictions = self._predictor.predict(uploads.images, options, perf_counter() - arrived)
        environ[TIMINGS_KEY] = predictions.timings
        refusals = [item for item in predictions.items if isinstance(item, Refusal)]
        if len(refusals) == len(predictions.items):
            raise uploads.advise(refusals[0])
        items: list[Any] = predictions.items
        if refusals or uploads.files:
            items = [_item(item, uploads.files.get(place)) for place, item in enumerate(items)]
        headers = prediction_headers(predictions.classifiers, predictions.timings)
        return Reply(msgspec.json.encode({"predictions": items}), headers=headers)


def _item(item: Prediction | Refusal, file: str | None) -> Prediction | dict[str, Any]:
    """Return the answer to one image; file: its name, where it has one."""
    if isinstance(item, Refusal):
        return {"error": item.problem()} | ({"file": file} if file else {})
    return msgspec.structs.replace(item, file=file) if file else item


def blueprint(view: Classify) -> Blueprint:
    """Return the route that classifies; a browser without JavaScript gets a page."""
    api = Blueprint("classify", __name__)

    @api.post(PATH)
    def classify() -> Response:
        reply = view(request.environ)
        return answers_page(reply) if is_browser_form(request.environ) else reply.flask()

    return api
