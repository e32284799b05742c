"""Choose the model for an image when the client names none: by what is seen, where a router is loaded."""

from time import perf_counter

from serving.imaging.decoding import DecodedImage
from serving.imaging.preprocessing import preprocess
from serving.imaging.resizing import is_on_black, is_on_white
from serving.inference.timings import Timings
from serving.model.classifier import Classifier
from serving.repository.index import GARMENTS_DATASET
from serving.repository.repository import Repository

# The router, made for photos, is not sure of images in grey on black, as Fashion-MNIST's own are, nor of drawings: they
# are garments unless their probability of being garments is below this.
SURE_OF_THINGS = 0.1


def choose(repository: Repository, decoded: DecodedImage, timings: Timings) -> Classifier:
    """Return the default model that suits an image best; raises NoModel.

    An image of one model's input size is that model's. The router looks at any other; without a router, colour
    decides. Its run counts as time in the graphs, but as no model's answer: it is not among the runs of the timings.
    """
    defaults = repository.defaults
    garments, things, router = defaults.garments.classifier, defaults.things.classifier, defaults.router
    if router is None or garments is None or things is None or garments is things:
        return repository.default(decoded.grey)
    exact = [one for one in (garments, things) if decoded.image.size == (one.width, one.height)]
    if len(exact) == 1:
        return exact[0]
    start = perf_counter()
    made = preprocess(decoded, router.card.fit, router.height, router.width, router.channels)
    middle = perf_counter()
    # Alone, not in a batch with other requests' images: this may be another thread, and a batch saves it no time.
    probabilities = router.classify(made.pixels[None])[0]
    share = probabilities[router.card.labels.index(GARMENTS_DATASET)]
    timings.fit += middle - start
    timings.infer += perf_counter() - middle
    is_plain = decoded.grey and (is_on_black(decoded.image) or is_on_white(decoded.image))
    return garments if share > (SURE_OF_THINGS if is_plain else 0.5) else things
