"""POST /classify: predictions, and refusals in the place of bad images."""

import base64
import gc
import io

import numpy as np
import pytest
from pictures import png_chunk
from PIL import Image

from serving.app import create_app
from serving.errors import Refusal
from serving.settings import Settings


@pytest.fixture(scope="module")
def post(client, image):
    """Return a sender of one image, by name or as bytes, with a query."""

    def send(upload="ankle-boot", **query):
        body = image(upload) if isinstance(upload, str) else upload
        return client.post("/classify", data=body, content_type="image/png", query_string=query)

    return send


@pytest.fixture(scope="module")
def colourful():
    """Return a photo-like upload in colour."""
    pixels = np.random.default_rng(2).integers(0, 256, (6, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def only(response):
    (prediction,) = response.json["predictions"]
    return prediction


@pytest.mark.parametrize(
    ("name", "label", "index"), [("ankle-boot", "Ankle boot", 9), ("bag", "Bag", 8), ("trouser", "Trouser", 1)]
)
def test_a_garment_is_recognised(post, name, label, index):
    prediction = only(post(name))

    assert (prediction["label"], prediction["index"]) == (label, index)
    assert prediction["probability"] > 0.5


def test_a_prediction_has_exactly_the_promised_fields(post):
    prediction = only(post())

    fields = ["model", "version", "label", "index", "probability", "top", "set", "coverage", "novelty", "novel", "fit"]
    assert list(prediction) == fields
    assert prediction["top"][0] == {key: prediction[key] for key in ("label", "index", "probability")}
    assert prediction["fit"] == []


def test_the_answer_is_json(post):
    assert post().content_type == "application/json"


def test_grey_images_go_to_the_garments_and_coloured_ones_to_the_things(post, colourful):
    assert only(post())["model"] == "fashion-mlp"
    assert only(post(colourful))["model"] == "cifar-cnn"


def test_grey_and_colour_may_be_sent_together(client, image, colourful):
    uploads = [base64.b64encode(upload).decode() for upload in (colourful, image("bag"), colourful, image("trouser"))]

    predictions = client.post("/classify", json={"images": uploads}).json["predictions"]

    assert [prediction["model"] for prediction in predictions] == ["cifar-cnn", "fashion-mlp"] * 2
    assert [predictions[1]["label"], predictions[3]["label"]] == ["Bag", "Trouser"]
    assert predictions[0] == predictions[2]


@pytest.mark.parametrize("model", ["fashion-mlp", "fashion-mlp:2", "cifar-cnn", "cifar-cnn:2"])
def test_a_model_may_be_named_with_or_without_its_version(post, colourful, model):
    for upload in ("bag", colourful):
        prediction = only(post(upload, model=model))

        assert (prediction["model"], prediction["version"]) == (model.partition(":")[0], "2")


@pytest.mark.parametrize("model", ["nothing", "nothing:1", "../fashion-mlp", "fashion-mlp/2", " ", "\u2603", "."])
def test_an_unknown_model_is_refused_with_those_that_exist(post, model):
    response = post(model=model)

    assert response.status_code == 404
    assert response.json["code"] == "unknown-model"
    assert "cifar-cnn, fashion-mlp" in response.json["detail"]


@pytest.mark.parametrize("version", ["1", "0", "latest", "../2", "2:2", " 2"])
def test_an_unknown_version_is_refused_with_those_that_exist(post, version):
    response = post(model=f"fashion-mlp:{version}")

    assert response.status_code == 404
    assert response.json["code"] == "unknown-model"
    assert response.json["detail"].endswith("has no version " + repr(version) + ". Versions: 2.")


@pytest.mark.parametrize(
    ("query", "count"),
    [({}, 5), ({"top_k": "1"}, 1), ({"top_k": "10"}, 10), ({"top_k": "11"}, 10), ({"top_k": "9" * 99}, 10)],
)
def test_top_k_is_five_unless_given_and_clipped_to_the_classes(post, query, count):
    top = only(post(**query))["top"]

    probabilities = [candidate["probability"] for candidate in top]
    assert len(top) == count
    assert probabilities == sorted(probabilities, reverse=True)
    assert len({candidate["label"] for candidate in top}) == count


def test_all_probabilities_add_up_to_one(post):
    assert sum(candidate["probability"] for candidate in only(post(top_k=10))["top"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seen", ["true", "True", "1"])
def test_seen_shows_the_pixels_that_the_model_saw(post, image, seen):
    head, _, payload = only(post(seen=seen))["seen"].partition(",")

    assert head == "data:image/png;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(payload)))
    assert shown.mode == "L"
    assert shown.tobytes() == Image.open(io.BytesIO(image("ankle-boot"))).tobytes()


def test_the_seen_image_gets_the_same_answer(post, colourful):
    first = only(post(colourful, seen="true"))
    again = only(post(base64.b64decode(first["seen"].partition(",")[2]), seen="true"))

    assert first["fit"] == ["resized", "cropped"]
    assert again["fit"] == []
    assert again["seen"] == first["seen"]
    assert again["probability"] == pytest.approx(first["probability"], abs=1e-5)


@pytest.mark.parametrize("seen", ["false", "0", ""])
def test_seen_is_left_out_unless_it_is_requested(post, seen):
    assert "seen" not in only(post(seen=seen))


def test_a_bad_image_among_good_ones_is_refused_in_its_place(client, image):
    files = [(io.BytesIO(upload), "a") for upload in (image("bag"), b"hello", image("trouser"))]

    response = client.post("/classify", data={"files": files})

    first, second, third = response.json["predictions"]
    assert response.status_code == 200
    assert (first["label"], third["label"]) == ("Bag", "Trouser")
    assert second["file"] == "a"
    assert list(second) == ["error", "file"]
    assert set(second["error"]) == {"type", "title", "status", "detail", "code"}
    assert second["error"]["code"] == "unreadable-image"


def test_when_every_image_is_bad_the_first_refusal_is_the_answer(client):
    for images, status in ((["?", "aGVsbG8="], 400), (["aGVsbG8=", "?"], 422)):
        response = client.post("/classify", json={"images": images})

        assert response.status_code == status
        assert response.content_type == "application/problem+json"


def test_a_text_file_is_refused_as_unreadable(client):
    response = client.post("/classify", data=b"hello", content_type="image/png")

    assert response.status_code == 422
    assert response.json["code"] == "unreadable-image"


def test_an_unknown_model_is_refused_before_the_images_are_read(client):
    response = client.post("/classify?model=nothing", data=b"hello", content_type="image/png")

    assert response.status_code == 404


def test_without_a_model_the_request_is_refused_for_now(folder, image):
    client = create_app(Settings(models=str(folder))).test_client()

    response = client.post("/classify", data=image("bag"), content_type="image/png")

    assert response.status_code == 503
    assert response.json["code"] == "no-model"
    assert response.headers["Retry-After"] == "5"


def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason(folder, forge, image):
    forge("garments/1")
    forge("broken/1").write_bytes(b"")
    client = create_app(Settings(models=str(folder))).test_client()

    response = client.post("/classify?model=broken", data=image("bag"), content_type="image/png")

    assert response.status_code == 503
    assert "'broken' cannot be served" in response.json["detail"]


def test_an_older_version_answers_as_itself(folder, forge, image):
    forge("garments/1")
    forge("garments/2")
    client = create_app(Settings(models=str(folder))).test_client()

    for model, version in (("garments", "2"), ("garments:1", "1")):
        response = client.post(f"/classify?model={model}", data=image("bag"), content_type="image/png")

        assert response.json["predictions"][0]["version"] == version


def test_a_setting_chooses_the_model_for_coloured_images(models, colourful):
    client = create_app(Settings(models=str(models), default_colour="fashion-mlp")).test_client()

    response = client.post("/classify", data=colourful, content_type="image/jpeg")

    prediction = response.json["predictions"][0]
    assert prediction["model"] == "fashion-mlp"
    assert prediction["fit"][0] == "grey"


def test_the_set_has_the_most_probable_labels_and_its_coverage(post):
    prediction = only(post("pullover", top_k=10))

    labels = [candidate["label"] for candidate in prediction["top"]]
    assert prediction["set"] == labels[: len(prediction["set"])]
    assert prediction["coverage"] == 0.95


def test_a_higher_coverage_makes_larger_sets(post, image):
    sizes = [len(only(post("bag", coverage=coverage, model="cifar-cnn"))["set"]) for coverage in (0.8, 0.9, 0.95, 0.99)]

    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


@pytest.mark.parametrize(
    ("requested", "given"), [("0.8", 0.8), (".9", 0.9), ("0.955", 0.96), ("0.95", 0.95), ("0.99", 0.99)]
)
def test_the_coverage_is_at_least_the_requested_one(post, requested, given):
    assert only(post(coverage=requested))["coverage"] == given


def test_a_coverage_above_the_cards_highest_is_refused(forge, folder, image):
    forge("plain/1", conformal={"coverage": 0.9, "threshold": 0.2})
    client = create_app(Settings(models=str(folder))).test_client()

    refused = client.post("/classify?coverage=0.95", data=image("bag"), content_type="image/png")
    answered = client.post("/classify?coverage=0.85", data=image("bag"), content_type="image/png")

    assert refused.status_code == 400
    assert "coverage=0.95 is more than the model 'plain' was calibrated for: 0.9." in refused.json["detail"]
    assert only(answered)["coverage"] == 0.9


def test_a_set_has_the_labels_that_reach_their_own_thresholds(forge, folder, image):
    forge("plain/1", conformal={"coverage": 0.9, "threshold": [1.0] * 8 + [0.0, 0.0]})
    client = create_app(Settings(models=str(folder))).test_client()

    answered = client.post("/classify", data=image("bag"), content_type="image/png")

    assert set(only(answered)["set"]) == {"Bag", "Ankle boot"}


def test_noise_is_novel_and_a_garment_is_not(post):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(file, "PNG")

    known, foreign = only(post("bag")), only(post(file.getvalue(), model="fashion-mlp"))

    assert (known["novel"], foreign["novel"]) == (False, True)
    assert 0 <= known["novelty"] < 0.5 < foreign["novelty"] <= 1
    assert (known["coverage"], foreign["coverage"]) == (0.95, None)  # on a novel image the set promises nothing


def test_a_header_names_the_model_files_that_answered(client, post, image, colourful):
    digests = {model["name"]: model["digest"] for model in client.get("/models").json["models"]}
    uploads = [base64.b64encode(upload).decode() for upload in (colourful, image("bag"), colourful)]

    one, two = post("bag"), client.post("/classify", json={"images": uploads})

    assert one.headers["Thimble-Model"] == f"fashion-mlp:2@{digests['fashion-mlp']}"
    assert two.headers["Thimble-Model"] == ", ".join(
        f"{name}:2@{digests[name]}" for name in ("cifar-cnn", "fashion-mlp")
    )


def refusals():
    # By type(): isinstance() reads __class__, at which some objects of other libraries warn.
    return [one for one in gc.get_objects() if issubclass(type(one), Refusal)]


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_a_refusal_is_freed_without_garbage_collection(client, path):
    gc.collect()
    before = refusals()  # of other tests
    gc.disable()
    try:
        assert client.post(path, data=b"hello", content_type="image/png").status_code == 422
        assert len(refusals()) == len(before)
    finally:
        gc.enable()


@pytest.mark.trains
@pytest.mark.parametrize("size", [(45_000_000, 1), (1, 9_000_000), (1_000_000, 45), (45, 1_000_000)])
def test_an_image_of_extreme_shape_is_answered_or_refused(client, size):
    file = io.BytesIO()
    Image.new("L", size, 77).save(file, "PNG", compress_level=1)
    upload = file.getvalue()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(upload).decode()]}

    answers = [
        client.post("/classify?seen=true&model=fashion-mlp", data=upload, content_type="image/png"),
        client.post("/explain?model=cifar-cnn", data=upload, content_type="image/png"),
        client.post("/v2/models/fashion-mlp/infer", json={"inputs": [tensor]}),
    ]

    assert {answer.status_code for answer in answers} <= {200, 422}


def test_a_small_image_in_a_long_file_is_answered_as_in_a_short_one(client, image):
    short = image("ankle-boot")
    long = short[:33] + png_chunk(b"teSt", bytes(150_000)) + short[33:]

    answers = [client.post("/classify", data=upload, content_type="image/png").json for upload in (short, long)]

    assert answers[0] == answers[1]
