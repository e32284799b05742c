"""Parameters in the query, in fields of a form and in members of JSON: all alike."""

import json

import pytest
from bodies import MULTIPART, coded, multipart

PATHS = ("/classify", "/explain")


@pytest.fixture(params=["query", "form", "JSON"])
def place(request):
    return request.param


@pytest.fixture
def post(client, boot):
    """Return a sender of one image with parameters in the query and in one of the other places."""

    def send(place, given, query=None, path="/classify"):
        if place == "query":
            return client.post(path, data=boot, content_type="image/png", query_string=(query or {}) | given)
        if place == "JSON":
            return client.post(path, json={"image": coded(boot), **given}, query_string=query)
        fields = [(f'name="{name}"', str(value).encode()) for name, value in given.items()]
        body = multipart(*fields, ('name="top_k"; filename="a.png"', boot))
        return client.post(path, data=body, content_type=MULTIPART, query_string=query)

    return send


def test_all_parameters_are_taken_in_each_place(post, place):
    given = {"model": "fashion-mlp:2", "top_k": "2", "coverage": "0.9", "seen": "true"}

    (prediction,) = post(place, given).json["predictions"]

    assert (prediction["model"], prediction["version"]) == ("fashion-mlp", "2")
    assert len(prediction["top"]) == 2
    assert prediction["coverage"] == 0.9
    assert prediction["seen"].startswith("data:image/png;base64,")


def test_an_explanation_takes_them_too_and_a_label(post, place):
    given = {"model": "fashion-mlp", "label": "Sandal", "top_k": "2", "coverage": "0.9", "seen": "true"}

    response = post(place, given, path="/explain")

    assert (response.json["model"], response.json["label"]) == ("fashion-mlp", "Sandal")


@pytest.mark.parametrize(
    ("member", "value", "field", "expected"),
    [
        ("top_k", 3, "top", 3),
        ("top_k", 3.0, "top", 3),
        ("top_k", 10**12, "top", 10),
        ("coverage", 0.8, "coverage", 0.8),
        ("coverage", None, "coverage", 0.95),
        ("top_k", None, "top", 5),
        ("model", None, "model", "fashion-mlp"),
    ],
)
def test_members_of_json_may_be_numbers(post, member, value, field, expected):
    (prediction,) = post("JSON", {member: value}).json["predictions"]

    assert expected == (len(prediction[field]) if field == "top" else prediction[field])


@pytest.mark.parametrize(("value", "seen"), [(True, True), (1, True), ("true", True), (False, False), (0, False)])
def test_members_of_json_may_be_booleans(post, value, seen):
    (prediction,) = post("JSON", {"seen": value}).json["predictions"]

    assert ("seen" in prediction) is seen


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"top_k": "0"}, "top_k='0' is not a whole number"),
        ({"top_k": 2.5}, "top_k='2.5' is not a whole number"),
        ({"top_k": "true"}, "top_k='true' is not a whole number"),
        ({"coverage": "2"}, "coverage='2' is not a number from 0.8 to 0.99"),
        ({"seen": "yes"}, "seen='yes' is neither true nor false"),
        ({"model": ":1"}, "model=':1' is neither NAME nor NAME:VERSION"),
    ],
)
def test_a_malformed_parameter_is_refused_alike_in_each_place(post, place, given, words):
    response = post(place, given)

    assert (response.status_code, response.json["code"]) == (400, "bad-request")
    assert words in response.json["detail"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["topk", "Model", "images[]", "threshold"])
def test_an_unknown_parameter_is_refused_with_those_that_exist(post, place, path, name):
    response = post(place, {name: "1"}, path=path)

    assert (response.status_code, response.json["code"]) == (400, "bad-request")
    assert name in response.json["detail"]
    assert "model, top_k, coverage, seen" in response.json["detail"]
    assert ("label" in response.json["detail"]) is (path == "/explain")


def test_a_label_is_refused_where_nothing_is_explained(post, place):
    response = post(place, {"label": "Bag"})

    assert response.status_code == 400
    assert "There is no parameter 'label'" in response.json["detail"]


@pytest.mark.parametrize("place", ["form", "JSON"], indirect=True)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "given"),
    [("top_k=2", {"top_k": "3"}), ("model=fashion-mlp", {"model": "cifar-cnn"}), ("seen=true", {"seen": "false"})],
)
def test_a_parameter_that_is_given_twice_and_differently_is_refused(post, place, path, query, given):
    response = post(place, given, query, path)

    assert response.status_code == 400
    assert "is given twice" in response.json["detail"]


@pytest.mark.parametrize("place", ["form", "JSON"], indirect=True)
def test_a_parameter_may_be_given_twice_with_the_same_value(post, place):
    query = "top_k=3&seen=1&coverage=0.90&model=fashion-mlp"

    response = post(place, {"top_k": "3", "seen": "true", "coverage": ".9", "model": "fashion-mlp"}, query)

    assert len(response.json["predictions"][0]["top"]) == 3


@pytest.mark.parametrize("place", ["form", "JSON"], indirect=True)
def test_an_empty_parameter_is_not_given(post, place):
    response = post(place, {"top_k": "", "model": "", "coverage": "", "seen": ""}, "top_k=3&coverage=")

    assert len(response.json["predictions"][0]["top"]) == 3


def test_a_field_of_a_form_may_be_given_twice(client, boot):
    def post(*values):
        fields = [('name="top_k"', value) for value in values]
        body = multipart(*fields, ('name="a"; filename="a"', boot))
        return client.post("/classify", data=body, content_type=MULTIPART)

    assert len(post(b"2", b"2").json["predictions"][0]["top"]) == 2
    assert "given twice" in post(b"2", b"3").json["detail"]


@pytest.mark.parametrize("second", ['"top_k"', '"top\\u005fk"'])
def test_a_member_of_json_may_be_given_twice(client, boot, second):
    def post(value):
        body = f'{{"top_k": 2, "image": {json.dumps(coded(boot))}, {second}: {value}}}'
        return client.post("/classify", data=body, content_type="application/json")

    assert len(post("2").json["predictions"][0]["top"]) == 2
    assert "given twice" in post("3").json["detail"]


def test_a_refusal_is_counted_for_the_model_that_a_field_named(models, boot):
    from serving.app import create_app
    from serving.settings import Settings

    client = create_app(Settings(models=str(models))).test_client()
    body = multipart(('name="model"', b"cifar-cnn"), ('name="a"; filename="a"', b"hello"))

    assert client.post("/classify", data=body, content_type=MULTIPART).status_code == 422

    lines = client.get("/metrics").text.splitlines()
    assert any("cifar-cnn" in line and "fail" in line and line.endswith(" 1.0") for line in lines)
