"""GET /models/<name>/<version>/<file>: README and figures; the model where that is allowed."""

import os
import shutil

import pytest

from serving.app import create_app
from serving.settings import Settings

MODEL = "fashion-mlp/2/model.onnx"


@pytest.fixture(scope="module")
def generous(models):
    return create_app(Settings(models=str(models), allow_download=True)).test_client()


@pytest.mark.parametrize(
    ("file", "kind", "place"),
    [
        ("README.md", "text/markdown; charset=utf-8", "fashion-mlp/README.md"),
        ("curves.png", "image/png", "fashion-mlp/2/curves.png"),
        ("confusion.png", "image/png", "fashion-mlp/2/confusion.png"),
    ],
)
def test_the_readme_and_the_figures_of_a_model_are_sent(client, models, file, kind, place):
    with client.get(f"/models/fashion-mlp/2/{file}") as response:
        assert (response.status_code, response.content_type) == (200, kind)
        assert response.data == (models / place).read_bytes()
        etag = response.headers["ETag"]
    with client.get(f"/models/fashion-mlp/2/{file}", headers={"If-None-Match": etag}) as again:
        assert again.status_code == 304


def test_the_model_is_not_given_away_unless_that_is_allowed(client, generous, models):
    refused = client.get("/models/fashion-mlp/2/model.onnx")

    assert (refused.status_code, refused.json["code"]) == (403, "not-allowed")
    assert "THIMBLE_ALLOW_DOWNLOAD=true" in refused.json["detail"]
    with generous.get("/models/fashion-mlp/2/model.onnx") as response:
        assert response.data == (models / "fashion-mlp/2/model.onnx").read_bytes()
        assert response.headers["Content-Disposition"] == "attachment; filename=model.onnx"


def test_models_that_are_read_slowly_take_no_more_memory_than_a_limit(models, monkeypatch):
    monkeypatch.setattr("serving.api.model_files.DOWNLOAD_BYTES", 3 * (models / MODEL).stat().st_size)
    client = create_app(Settings(models=str(models), allow_download=True)).test_client()

    with client.get(f"/models/{MODEL}") as first:
        refused = client.get(f"/models/{MODEL}")
        assert (first.status_code, refused.status_code, refused.headers["Retry-After"]) == (200, 503, "1")
        assert refused.json["detail"] == "Too many models are being downloaded at once; ask again a little later."
    with client.get(f"/models/{MODEL}") as again:
        assert again.status_code == 200


@pytest.mark.parametrize(
    ("path", "code", "names"),
    [
        ("fashion-mlp/2/labels.txt", "not-found", "README.md, curves.png, confusion.png, model.onnx"),
        ("fashion-mlp/2/..%2F..%2Fx", "not-found", ""),
        ("nothing/1/README.md", "unknown-model", "cifar-cnn, fashion-mlp"),
        ("fashion-mlp/1/README.md", "unknown-model", "Versions: 2."),
        ("fashion-mlp/../README.md", "unknown-model", "Versions: 2."),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(generous, path, code, names):
    response = generous.get(f"/models/{path}")

    assert (response.status_code, response.json["code"]) == (404, code)
    assert names in response.json["detail"]


def test_a_missing_figure_is_refused_with_the_files_that_are_there(forge, folder):
    (forge("garments/1").parent / "confusion.png").touch()
    client = create_app(Settings(models=str(folder))).test_client()

    response = client.get("/models/garments/1/curves.png")

    assert response.status_code == 404
    assert response.json["detail"] == "garments/1 has no curves.png. Files: confusion.png, model.onnx."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_figure_that_may_not_be_read_is_not_found(forge, folder):
    (forge("garments/1").parent / "curves.png").touch(mode=0)
    client = create_app(Settings(models=str(folder))).test_client()

    detail = client.get("/models/garments/1/curves.png").json["detail"]

    assert detail == "garments/1 has a curves.png that is not sent: cannot be read: Permission denied."


def test_a_figure_that_would_fill_the_memory_is_not_sent(forge, folder):
    with (forge("garments/1").parent / "curves.png").open("wb") as file:
        file.truncate(2**34)
    client = create_app(Settings(models=str(folder))).test_client()

    detail = client.get("/models/garments/1/curves.png").json["detail"]

    assert "has a curves.png that is not sent: 17,179,869,184 bytes; a README or a figure has at most" in detail


@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/self/environ", "../../outside.md"])
def test_a_link_out_of_the_model_folder_is_not_followed_for_clients(forge, folder, target):
    (folder.parent / "outside.md").write_text("not the clients'")
    (forge("garments/1").parent.parent / "README.md").symlink_to(target)
    client = create_app(Settings(models=str(folder))).test_client()

    response = client.get("/models/garments/1/README.md")

    assert (response.status_code, response.json["code"]) == (404, "not-found")
    assert "it is a link out of the model folder" in response.json["detail"]


def test_a_readme_is_sent_from_where_the_link_to_its_model_leads(forge, folder, tmp_path):
    version = forge("garments/1").parent
    (version.parent / "README.md").write_text("garments")
    version.rename(tmp_path / "version").joinpath("curves.png").write_text("curves")
    version.symlink_to(tmp_path / "version")
    version.parent.rename(tmp_path / "elsewhere")
    (folder / "garments").symlink_to(tmp_path / "elsewhere")
    client = create_app(Settings(models=str(folder))).test_client()

    assert client.get("/models/garments/1/README.md").data == b"garments"
    assert client.get("/models/garments/1/curves.png").data == b"curves"


def test_files_come_from_where_the_link_to_the_folder_leads_now(forge, folder, tmp_path):
    forge("garments/1")
    link = tmp_path / "link"
    link.symlink_to(folder)
    client = create_app(Settings(models=str(link), allow_download=True)).test_client()
    newer = shutil.copytree(folder, tmp_path / "newer")
    (newer / "garments/README.md").write_text("newer")
    link.unlink()
    link.symlink_to(newer)
    shutil.rmtree(folder)

    with client.get("/models/garments/1/README.md") as response:
        assert response.data == b"newer"
    with client.get("/models/garments/1/model.onnx") as response:
        assert response.status_code == 200


def test_a_file_that_was_refused_in_a_models_place_is_not_sent(forge, folder):
    path = forge("garments/1")
    app = create_app(Settings(models=str(folder), allow_download=True, poll_seconds=0))
    with app.test_client().get("/models/garments/1/model.onnx") as response:
        assert response.data == path.read_bytes()

    path.write_bytes(b"no model")  # the file before still answers
    assert app.test_client().get("/models/garments/1/model.onnx").status_code == 503
    path.unlink()
    assert app.test_client().get("/models/garments/1/model.onnx").status_code == 503
    os.mkfifo(path)  # to open it would wait for a writer
    assert app.test_client().get("/models/garments/1/model.onnx").status_code == 503
