"""POST /explain: a grid of falls in probability, and an overlay for the upload."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image
from routers import add_router

from serving.app import create_app
from serving.inference.timings import TIMINGS_KEY
from serving.settings import Settings

KIND = {"content_type": "image/png"}


def picture(explained):
    head, _, payload = explained["overlay"].partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(payload)))


@pytest.fixture(scope="module")
def photo(image):
    """Return a garment as a shop shows it, held sideways."""
    original = Image.open(io.BytesIO(image("pullover")))
    sheet = Image.new("L", (300, 420), 255)
    sheet.paste(Image.eval(original.resize((280, 280), Image.Resampling.NEAREST), lambda level: 255 - level), (10, 90))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    sheet.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


def test_an_image_is_explained_by_the_model_that_classifies_it(client, image):
    classified = client.post("/classify", data=image("bag"), **KIND)
    explained = client.post("/explain", data=image("bag"), **KIND)

    prediction = classified.json["predictions"][0]
    assert {key: explained.json[key] for key in ("model", "version", "label", "index", "fit")} == {
        key: prediction[key] for key in ("model", "version", "label", "index", "fit")
    }
    assert explained.json["probability"] == pytest.approx(prediction["probability"], abs=1e-5)
    assert explained.headers["Thimble-Model"] == classified.headers["Thimble-Model"]


def test_the_grid_is_square_and_says_where_the_probability_falls(client, image):
    explained = client.post("/explain", data=image("bag"), **KIND).json
    grid = np.array(explained["grid"])

    assert grid.shape[0] == grid.shape[1] > 5
    assert explained["window"] == [9, 9]
    assert 0.1 < grid.max() <= explained["probability"]


def test_the_overlay_has_the_size_of_the_upright_upload_and_is_hot_at_the_garment(client, photo):
    answer = client.post("/explain?model=fashion-mlp", data=photo, content_type="image/jpeg").json
    overlay = picture(answer)

    assert (answer["label"], overlay.size) == ("Pullover", (300, 420))
    alpha = np.asarray(overlay.convert("RGBA"))[..., 3].astype(float)
    assert alpha[90:370].mean() > 2 * alpha[:80].mean()


def test_the_overlay_of_a_large_photo_is_smaller_in_the_same_proportions(client):
    file = io.BytesIO()
    Image.effect_noise((2400, 1600), 60).convert("RGB").save(file, "JPEG")

    explained = client.post("/explain?model=cifar-cnn", data=file.getvalue(), content_type="image/jpeg").json

    assert picture(explained).size == (600, 400)


def test_another_label_may_be_explained(client, image):
    explained = client.post("/explain?label=Shirt", data=image("pullover"), **KIND).json

    assert (explained["label"], explained["index"]) == ("Shirt", 6)


def test_an_unknown_label_is_refused_with_the_labels_of_the_model(client, image):
    problem = client.post("/explain?label=Hat", data=image("pullover"), **KIND)

    assert problem.status_code == 400
    assert "label='Hat' is not a label of fashion-mlp. Labels: T-shirt/top, Trouser" in problem.json["detail"]


def test_several_images_are_refused(client, image):
    upload = base64.b64encode(image("bag")).decode()

    problem = client.post("/explain", json={"images": [upload, upload]})

    assert problem.status_code == 400
    assert "The request has 2 images; one is explained at a time." in problem.json["detail"]


@pytest.mark.parametrize(
    ("upload", "query", "status", "code"),
    [
        (b"hello", "", 422, "unreadable-image"),
        (None, "?model=none", 404, "unknown-model"),
        (None, "?coverage=2", 400, "bad-request"),
    ],
)
def test_explain_refuses_what_classify_refuses(client, image, upload, query, status, code):
    problem = client.post(f"/explain{query}", data=upload or image("bag"), **KIND)

    assert (problem.status_code, problem.json["code"]) == (status, code)


def test_a_colour_image_is_explained_by_the_colour_model(client):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)).save(file, "PNG")

    explained = client.post("/explain", data=file.getvalue(), **KIND).json

    assert explained["model"] == "cifar-cnn"
    assert picture(explained).size == (90, 40)


@pytest.mark.parametrize(
    ("max_in_flight", "path", "statuses"),
    [
        (1, "/classify", [503]),
        (2, "/classify", [200]),
        (64, "/classify", [200]),
        (128, "/explain", [503]),
        (255, "/explain", [503]),
        (256, "/explain", [200, 503]),
    ],
)
def test_an_explanation_leaves_half_of_the_room_to_images(models, image, while_waiting, max_in_flight, path, statuses):
    client = create_app(Settings(models=str(models), workers=1, max_in_flight=max_in_flight)).test_client()
    begun, answers = [], []

    def ask():  # while those before it wait for their turns
        if len(begun) < len(statuses):
            begun.append(True)
            answers.append(client.post(path, data=image("bag"), **KIND).status_code)

    while_waiting(ask)
    explained = client.post("/explain", data=image("bag"), **KIND)

    assert explained.status_code == 200
    assert sorted(answers) == statuses


def test_the_time_in_graphs_counts_the_router_too(models, tmp_path):
    shutil.copytree(models, folder := tmp_path / "models")
    add_router(folder)
    app, asked = create_app(Settings(models=str(folder))), []
    answer, file = app.wsgi_app, io.BytesIO()
    app.wsgi_app = lambda environ, start: asked.append(environ) or answer(environ, start)
    Image.new("RGB", (60, 50), "navy").save(file, "PNG")

    app.test_client().post("/explain", data=file.getvalue(), **KIND)

    timings = asked[0][TIMINGS_KEY]
    assert timings.infer > timings.runs[0].seconds > 0
