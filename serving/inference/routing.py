"""Choose the model for an image when the client names none: by what is seen, where a router is loaded."""

from math import log
from time import perf_counter

from serving.imaging.decoding import DecodedImage
from serving.imaging.resizing import is_on_black, is_on_white
from serving.inference.inputs import ModelInputs
from serving.model.classifier import Classifier, Outputs
from serving.repository.index import GARMENTS_DATASET
from serving.repository.repository import Repository

# All in log odds of garments against things; chosen on photos and on enlarged training images of both data sets.
BIAS = -0.25  # photos of things were mistaken for garments more often than the reverse
PLAIN_BIAS = 1.25  # grey on black or white, like Fashion-MNIST and drawings, is too often a thing to a router of photos
WHITE_SHARE = 0.7  # of a border that is white: a garment may touch the rest
# The router does not know what the two models know: where it is unsure, the one that finds the image less novel gains.
UNSURE = 1.5
NOVELTY_WEIGHT = 3.0
MAX_NOVELTY = 0.5  # above or below a model's threshold: a model with a larger scale weighs no more than another


def choose(repository: Repository, inputs: ModelInputs) -> Classifier:
    """Return the default model that suits an image best; raises NoModel and RUNTIME_ERRORS.

    An image of one model's input size is that model's, if it is grey or in colour as the input is. The router looks at
    any other, and where it is unsure, both models do; without a router, colour decides. These runs count as time in the
    graphs, but as no model's answer: they are not among the runs of the timings.
    """
    defaults, decoded = repository.defaults, inputs.decoded
    garments, things, router = defaults.garments.classifier, defaults.things.classifier, defaults.router
    if router is None or garments is None or things is None or garments is things:
        return repository.default(decoded.grey)
    inputs_of = [one for one in (garments, things) if _is_as_its_inputs(decoded, one)]
    if len(inputs_of) == 1:
        return inputs_of[0]
    evidence = _log_odds(router, inputs) + BIAS
    if decoded.grey and (is_on_black(decoded.image) or is_on_white(decoded.image, WHITE_SHARE)):
        evidence += PLAIN_BIAS
    if abs(evidence) < UNSURE:
        evidence += NOVELTY_WEIGHT * (_novelty(things, inputs) - _novelty(garments, inputs))
    return garments if evidence > 0 else things


def _is_as_its_inputs(decoded: DecodedImage, classifier: Classifier) -> bool:
    """Whether an image has the size of a model's input, and colour where that has it."""
    return decoded.image.size == (classifier.width, classifier.height) and decoded.grey == (classifier.channels == 1)


def _log_odds(router: Classifier, inputs: ModelInputs) -> float:
    """Return the log odds of garments against things."""
    share = float(_run(router, inputs).probabilities[0, router.card.labels.index(GARMENTS_DATASET)])
    share = min(max(share, 1e-6), 1 - 1e-6)
    return log(share / (1 - share))


def _novelty(classifier: Classifier, inputs: ModelInputs) -> float:
    """Return how far an image's novelty is above a model's threshold: 0 without one, and within MAX_NOVELTY."""
    if not classifier.card.novelty:
        return 0.0
    novelty = _run(classifier, inputs).novelty
    if novelty is None:
        return 0.0
    return min(max(float(novelty[0]) - classifier.card.novelty.threshold, -MAX_NOVELTY), MAX_NOVELTY)


def _run(classifier: Classifier, inputs: ModelInputs) -> Outputs:
    """Run a model for an image: alone, since this may be another thread, and a batch saves it no time."""
    pixels = inputs.of(classifier).pixels[None]
    start = perf_counter()
    outputs = classifier.run(pixels)
    inputs.timings.infer += perf_counter() - start
    return outputs
