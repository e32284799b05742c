"""The files of the web pages: kept by browsers as long as their content stays, and loaded at once."""

import re
import shutil

import pytest

from serving.api.static_files import STATIC, modules
from serving.app import create_app
from serving.settings import Settings


def folder_of(client):
    """Return the URL of the folder of the files, as the page has it."""
    return re.search(r'src="(/static/\w+)/page\.js"', client.get("/").text)[1]


@pytest.fixture
def folder(client):
    return folder_of(client)


def test_a_browser_keeps_a_file_below_the_path_of_its_content(client, folder):
    with client.get(f"{folder}/page.js") as answer:
        assert answer.status_code == 200
        assert answer.data == (STATIC / "page.js").read_bytes()
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_that_path_changes_with_a_files_content(tmp_path, monkeypatch):
    static = shutil.copytree(STATIC, tmp_path / "static")
    monkeypatch.setattr("serving.api.static_files.STATIC", static)
    (tmp_path / "models").mkdir()
    folders = []

    for comment in ("// one", "// two", "// one"):
        (static / "new.js").write_text(comment)
        folders.append(folder_of(create_app(Settings(models=str(tmp_path / "models"))).test_client()))

    assert folders[0] == folders[2] != folders[1]


@pytest.mark.parametrize("path", ["page.js", "0123456789ab/page.js"])
def test_without_that_path_or_with_that_of_another_version_it_asks_each_time(client, path):
    with client.get(f"/static/{path}") as answer:
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["elsewhere/page.js", "0123456789ab/../page.js", "0123456789ab/0123456789ab/page.js"])
def test_another_folder_is_not_found(client, path):
    assert client.get(f"/static/{path}").status_code == 404


def test_what_is_not_found_is_not_kept(client, folder):
    assert client.get(f"{folder}/nothing.js").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("address", "script"), [("/", "page.js"), ("/docs", "docs.js")])
def test_a_page_loads_all_modules_at_once(client, address, script):
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/\w+/([^"]+)">', client.get(address).text)

    imports = {
        name: set(re.findall(r'"\./([\w.]+\.js)"', (STATIC / name).read_text())) for name in [script, *preloaded]
    }
    assert preloaded == modules(script)
    assert len(preloaded) >= 5
    assert set.union(*imports.values()) == {*preloaded}
