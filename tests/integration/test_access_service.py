"""Who may ask of a running service with two workers, directly and through nginx."""

import hashlib
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from browsing import BROWSER, choose
from playwright.sync_api import expect
from polling import wait_until

ROOT = Path(__file__).parents[2]
NGINX_TIMEOUT = 30  # seconds to start or to stop
KEYS = {name: f"key-of-{name}" for name in ("ann", "ben")}
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location /ml/ {{
      proxy_pass http://127.0.0.1:{service}/;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Prefix /ml;
    }}
  }}
}}
"""


def lines(*names):
    return "".join(f"{name} {hashlib.sha256(KEYS[name].encode()).hexdigest()} classify,admin\n" for name in names)


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    file.write_text(lines(*KEYS))
    return file


@pytest.fixture(scope="module")
def locked_server(start, keys_file):
    """Return a server with keys and a limit, behind trusted proxies."""
    return start(
        workers="2", keys_file=str(keys_file), rate_limit="200/hour", trusted_proxies="127.0.0.1", allow_loading="true"
    )


@pytest.fixture
def nginx(locked_server, tmp_path):
    """Yield the URL of the service behind nginx."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "conf").write_text(NGINX.format(folder=tmp_path, port=port, service=locked_server.port))
    process = subprocess.Popen(["nginx", "-c", tmp_path / "conf", "-e", tmp_path / "error.log"])
    url = f"http://127.0.0.1:{port}/ml"
    wait_until(lambda: answers(f"{url}/livez"), NGINX_TIMEOUT, (tmp_path / "error.log").read_text)
    yield url
    process.terminate()
    process.wait(NGINX_TIMEOUT)


def answers(url):
    try:
        return requests.get(url, timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def classify(server, image, name):
    response = requests.post(
        f"{server.url}/classify", image("bag"), headers={"Authorization": f"Bearer {KEYS[name]}"}, timeout=20
    )
    return response.status_code


def test_the_limit_holds_over_all_workers(locked_server, image):
    with ThreadPoolExecutor(8) as pool:  # each request opens a connection, which either worker may accept
        statuses = list(pool.map(lambda _: classify(locked_server, image, "ann"), range(240)))

    assert sorted(statuses) == [200] * 200 + [429] * 40


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_behind_nginx_the_pages_and_their_files_are_below_its_path(nginx):
    page = requests.get(f"{nginx}/", timeout=20)

    links = {link for link in re.findall(r'(?:href|src)="([^"#]+)"', page.text) if link != "/ml/models"}
    answered = {link: requests.get(nginx.removesuffix("/ml") + link, timeout=20).status_code for link in links}
    assert "/ml/docs" in links
    assert any(re.fullmatch(r"/ml/static/\w+/page\.js", link) for link in links)
    assert {*answered.values()} == {200}
    assert requests.get(f"{nginx}/openapi.json", timeout=20).json()["servers"][0]["url"] == "/ml"


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_behind_nginx_the_services_own_page_may_load_and_another_may_not(nginx):
    call, key = f"{nginx}/v2/repository/models/fashion-mlp/load", {"X-API-Key": KEYS["ben"]}
    own = nginx.removesuffix("/ml")

    statuses = [
        requests.post(call, headers=key | {"Origin": origin}, timeout=20).status_code for origin in (own, "null")
    ]

    assert statuses == [200, 403]


@pytest.mark.trains
@pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")
def test_without_scripts_the_form_is_refused_on_a_page_that_says_what_to_do(browser, locked_server):
    context = browser.new_context(base_url=locked_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")

    choose(page, "bag")
    page.get_by_role("button", name="Classify").click()

    expect(page.get_by_role("main")).to_contain_text("A form cannot send a key. Turn on JavaScript")
    context.close()


def test_a_revoked_key_fails_in_all_workers_without_a_restart(locked_server, keys_file, image):
    assert classify(locked_server, image, "ben") == 200
    keys_file.write_text(lines("ann"))

    time.sleep(2)
    assert {classify(locked_server, image, "ben") for _ in range(20)} == {401}
    keys_file.write_text(lines(*KEYS))


def test_no_key_is_in_the_log(locked_server, image):
    log = locked_server.log.read_text()

    assert "keys in force" in log
    assert not any(key in log for key in KEYS.values())


def test_a_broken_file_of_keys_stops_the_start_with_its_line(tmp_path, models):
    (tmp_path / "keys.txt").write_text("# keys\nann\n")
    environment = {"THIMBLE_KEYS_FILE": str(tmp_path / "keys.txt"), "THIMBLE_MODELS": str(models), "PATH": "/usr/bin"}

    command = [sys.executable, "-m", "serving"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert f"THIMBLE_KEYS_FILE='{tmp_path}/keys.txt': line 2: the second word is not the SHA-256" in done.stderr
