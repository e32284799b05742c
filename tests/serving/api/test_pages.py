"""The pages: all from this service, under a policy that lets a browser load nothing from elsewhere."""

import gzip
import html
import io
import re

import onnx
import pytest
from cards import read_card, write_card
from flask import template_rendered
from markupsafe import escape

from serving.api import openapi, pages
from serving.app import create_app
from serving.imaging.suffixes import SUFFIXES, SYSTEM_FOLDERS
from serving.settings import Settings

FILES = sorted(path.name for path in pages.STATIC.iterdir())
PAGES = ("/", "/docs")
MAX_FIRST_PAGE_BYTES = 48_500  # with all that it can load, compressed


def text(page):
    """Return the text of a page, as a person reads it."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page)))


@pytest.mark.parametrize("address", [*PAGES, *(f"/static/{name}" for name in FILES), "/static/nothing"])
def test_the_policy_forbids_everything_from_other_hosts(client, address):
    with client.get(address) as response:
        policy = dict(rule.split(" ", 1) for rule in response.headers["Content-Security-Policy"].split("; "))
        kinds = response.headers["X-Content-Type-Options"]

    assert policy["default-src"] == "'none'"
    assert [policy[kind] for kind in ("script-src", "style-src", "connect-src")] == ["'self'"] * 3
    assert policy["img-src"].split() == ["'self'", "blob:", "data:"]
    assert kinds == "nosniff"


def test_the_page_of_the_interface_is_rendered_once(models):
    app = create_app(Settings(models=str(models)))
    rendered = []

    with template_rendered.connected_to(lambda *_, **__: rendered.append(1), app):
        answers = [app.test_client().get("/docs") for _ in range(3)]

    assert len(rendered) == 1
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("wanted", ["bytes=0-5", "bytes=9999999-", "bytes=5-1", "lines=1-2"])
def test_a_range_is_ignored(client, wanted):
    with client.get("/static/page.js") as whole, client.get("/static/page.js", headers={"Range": wanted}) as answer:
        assert answer.status_code == 200
        assert answer.data == whole.data


@pytest.mark.parametrize("address", ["/", "/openapi.json", "/static/page.js", "/models/fashion-mlp/2/README.md"])
def test_a_condition_of_a_range_is_ignored(client, address):
    with client.get(address) as whole, client.get(address, headers={"If-Match": '"another"'}) as answer:
        assert answer.status_code == 200
        assert answer.data == whole.data


@pytest.mark.parametrize("address", PAGES)
def test_a_page_has_no_inline_scripts_and_styles(client, address):
    page = client.get(address).text

    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []


@pytest.mark.parametrize("name", FILES)
def test_no_file_writes_markup_or_names_another_host(name):
    content = (pages.STATIC / name).read_bytes()

    assert re.findall(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", content) == []
    hosts = set(re.findall(rb"https?://[\w.:]+", content))
    assert hosts <= {b"http://www.w3.org", b"http://127.0.0.1:8000"}


@pytest.mark.parametrize("address", [*PAGES, "/openapi.json", "/static/page.js", "/static/thimble.css"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_text_is_compressed_for_those_who_accept_it_and_known_again(client, address, coding):
    with client.get(address) as whole, client.get(address, headers={"Accept-Encoding": coding}) as answer:
        assert answer.headers.get("Content-Encoding", "identity") == coding
        assert (gzip.decompress(answer.data) if coding == "gzip" else answer.data) == whole.data
        assert "Accept-Encoding" in answer.headers["Vary"]
        tag = answer.headers["ETag"]
    with client.get(address, headers={"Accept-Encoding": coding, "If-None-Match": tag}) as again:
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("address", [*PAGES, "/openapi.json", "/static/page.js"])
def test_a_browser_with_the_same_content_gets_304(client, address):
    with client.get(address) as first:
        tag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "no-cache"
    with client.get(address, headers={"If-None-Match": tag}) as again:
        assert (again.status_code, again.data) == (304, b"")
    with client.get(address, headers={"If-None-Match": '"another"'}) as other:
        assert other.status_code == 200


def test_the_first_page_is_small_with_all_its_files(client):
    sizes = []
    for address in ("/", *(f"/static/{name}" for name in FILES)):
        with client.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
            sizes.append(len(answer.data))

    assert sum(sizes) < MAX_FIRST_PAGE_BYTES


def test_every_file_is_loaded_by_something(client):
    loaded = "".join(client.get(address).text for address in PAGES)
    loaded += "".join((pages.STATIC / name).read_text() for name in FILES if name.endswith(".js"))

    assert [name for name in FILES if name not in loaded] == []


def test_the_page_offers_the_ready_models_by_what_they_know(client):
    page = client.get("/").text

    assert '<option value="fashion-mlp">Garments</option>' in page
    assert "It knows garments, things and animals." in text(page)
    assert "No model is ready" not in page


def test_models_of_own_images_are_told_apart_by_their_names_and_say_their_labels(models, tmp_path):
    for name in ("kitchen", "garden"):
        graph = onnx.load(models / "fashion-mlp/2/model.onnx")
        write_card(graph, read_card(graph) | {"name": name, "version": "1", "title": "Own images, pretrained network"})
        (tmp_path / name / "1").mkdir(parents=True)
        onnx.save(graph, tmp_path / name / "1/model.onnx")

    page = create_app(Settings(models=str(tmp_path))).test_client().get("/").text

    assert all(f'<option value="{name}">{name}</option>' in page for name in ("kitchen", "garden"))
    assert "It knows T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot." in text(
        page
    )


def test_of_many_labels_of_own_images_the_page_names_the_first(models, tmp_path):
    for name in ("kitchen", "garden"):
        graph = onnx.load(models / "fashion-mlp/2/model.onnx")
        own = {"title": "Own images", "labels": [f"{name} {n} {'x' * 40}" for n in range(10)]}
        write_card(graph, read_card(graph) | {"name": name, "version": "1"} | own)
        (tmp_path / name / "1").mkdir(parents=True)
        onnx.save(graph, tmp_path / name / "1/model.onnx")

    page = create_app(Settings(models=str(tmp_path))).test_client().get("/").text

    (lead,) = re.findall(r"It knows (.*)\. It says", text(page))
    labels, _, more = lead.rpartition(" and ")
    assert labels.split(", ")[:2] == [f"garden {n} {'x' * 31}…" for n in range(2)]
    assert (len(labels.split(", ")), more) == (12, "8 more")


def test_of_models_that_know_the_same_the_most_accurate_bears_the_name_of_it(all_models):
    page = create_app(Settings(models=str(all_models))).test_client().get("/").text

    assert '<option value="fashion-net">Garments</option>' in page
    assert '<option value="fashion-mlp">Garments, multilayer perceptron taught by fashion-net</option>' in page
    assert 'value="router"' not in page


@pytest.mark.parametrize(("labels", "drawings"), [
    (["Trouser", "Bag", *"abcdefgh"], ["trouser", "handbag", "spiral"]), (list("abcdefghij"), []),
])  # fmt: skip
def test_the_page_offers_only_drawings_that_a_model_knows(folder, forge, labels, drawings):
    forge("flowers/1", labels=labels, title="Flowers", dataset="own: flowers")

    page = create_app(Settings(models=str(folder))).test_client().get("/").text

    assert re.findall(r'data-sample="(\w+)" data-models="flowers automatic"', page) == drawings
    assert page.count("data-sample") == len(drawings)


def test_the_page_of_a_service_without_models_says_so(folder):
    page = create_app(Settings(models=str(folder))).test_client().get("/").text

    assert "No model is ready" in page


def test_the_page_stays_short_whatever_title_a_model_has(folder, forge):
    forge("fashion-mlp/1", title="x" * 900)

    page = create_app(Settings(models=str(folder))).test_client().get("/").text

    assert "xxx" in page
    assert page.count("x") < 900


def test_markup_in_a_card_is_shown_as_text(folder, forge):
    forge("fashion-mlp/1", title="<script>alert(1)</script>")

    page = create_app(Settings(models=str(folder))).test_client().get("/").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def send_form(client, *files):
    """Send the page's form as a browser without scripts does; returns the response."""
    page = client.get("/").text
    action, method, kind = re.search(
        r'<form id="form" action="([^"]+)" method="(\w+)" enctype="([^"]+)"', page
    ).groups()
    name = re.search(r'<input id="files" type="file" name="(\w+)"', page)[1]
    fields = dict.fromkeys(re.findall(r'<select id="\w+" name="(\w+)"', page), "") | dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', page)
    )
    data = {name: [(io.BytesIO(content), file) for file, content in files], **fields}
    return client.open(action, method=method.upper(), data=data, content_type=kind, headers=BROWSER)


def test_the_form_without_its_script_is_answered_with_a_page(client):
    ship = (pages.STATIC / "ship.png").read_bytes()

    response = send_form(client, ("ship.png", ship), ("notes.txt", b"hello"))

    assert response.mimetype == "text/html"
    assert re.search(r"<h2>ship, \d+\.\d%</h2>", response.text)
    assert 'src="data:image/png;base64,' in response.text
    assert "No answer for notes.txt" in response.text
    assert "Another picture" in response.text


def test_a_form_that_is_refused_without_its_script_is_told_so_on_a_page(client):
    response = send_form(client, ("notes.txt", b"hello"))

    assert (response.status_code, response.mimetype) == (422, "text/html")
    assert "The image cannot be read. The 5 bytes are not a complete image" in text(response.text)


@pytest.mark.parametrize(("name", "label", "novel"), [
    ("trouser", "Trouser", False), ("handbag", "Bag", False), ("ship", "ship", False), ("spiral", None, True),
])  # fmt: skip
def test_the_samples_of_the_page_get_their_own_labels(all_models, name, label, novel):
    drawing = (pages.STATIC / f"{name}.png").read_bytes()
    client = create_app(Settings(models=str(all_models))).test_client()

    prediction = client.post("/classify", data=drawing, content_type="image/png").json["predictions"][0]

    assert name in pages.SAMPLES
    assert prediction["novel"] is novel
    assert label in (None, prediction["label"])


def test_the_docs_page_has_everything_of_the_document(client, models):
    interface = openapi.document(Settings(models=str(models)))
    page = client.get("/docs").text
    read = text(page)

    for path, calls in interface["paths"].items():
        for method, call in calls.items():
            assert f"{method.upper()} {path}" in read
            assert call["summary"] in read
            assert all(escape(sample["source"]) in page for sample in call.get("x-codeSamples", []))
            assert all(parameter.get("name", "") in read for parameter in call.get("parameters", []))
    for name, schema in interface["components"]["schemas"].items():
        assert f'id="{name}"' in page
        assert all(field in read for field in schema.get("properties", {}))
    assert all(code in read for code in interface["components"]["responses"])
    assert "33,554,432 bytes" in read


def test_every_link_within_the_docs_page_has_a_target(client):
    page = client.get("/docs").text

    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))


def test_browsers_find_the_icon_where_they_look_for_it(client):
    with client.get("/favicon.ico") as icon, client.get("/static/icon.svg") as same:
        assert (icon.status_code, icon.mimetype) == (200, "image/svg+xml")
        assert icon.data == same.data
        assert icon.headers["ETag"]


def test_a_path_out_of_the_static_folder_is_not_found(client):
    for name in ("../app.py", "%2e%2e/app.py", "..%2fapp.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_of_a_folder_the_page_takes_the_files_that_the_client_takes():
    patterns = dict(re.findall(r"const ([A-Z_]+) = /(.+)/i;", (pages.STATIC / "intake.js").read_text()))
    hidden = (f"photos/{folder}/1.png" for folder in SYSTEM_FOLDERS)

    assert [suffix for suffix in SUFFIXES if not re.search(patterns["IMAGE_NAME"], f"photo{suffix}")] == []
    assert [path for path in hidden if not re.search(patterns["HIDDEN"], path, re.IGNORECASE)] == []
    assert not re.search(patterns["HIDDEN"], "photos/lost+found.png")
