"""Who may ask: keys, limits, origins and proxies, as clients of the application meet them."""

import hashlib
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from v2_client import files_input, infer, pixels_input

from serving.access.authorization import scopes_for
from serving.app import create_app
from serving.settings import Settings

KEYS = {scope: f"key-{scope}" for scope in ("classify", "metrics", "admin")}
LOAD = "/v2/repository/models/fashion-mlp/load"
APP = "https://app.example"
KIND = {"content_type": "image/png"}


@pytest.fixture
def serve(models):
    """Return a starter of clients of a service with these settings."""

    def start(**settings):
        given = {"models": str(models), "allow_loading": "true"} | settings
        environment = {f"THIMBLE_{name.upper()}": value for name, value in given.items()}
        return create_app(Settings.from_environment(environment)).test_client()

    return start


@pytest.fixture
def keys_file(tmp_path):
    lines = [f"{scope} {hashlib.sha256(key.encode()).hexdigest()} {scope}\n" for scope, key in KEYS.items()]
    (tmp_path / "keys.txt").write_text("".join(lines))
    return str(tmp_path / "keys.txt")


@pytest.fixture
def locked(serve, keys_file):
    """Return a client of a service with a key of each scope."""
    return serve(keys_file=keys_file)


def ask(client, path, key=None, method=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"Authorization": f"Bearer {KEYS[key]}"} if key else {}
    posted = path in ("/classify", "/explain", LOAD, "/v2/repository/index")
    with client.open(path, method=method or ("POST" if posted else "GET"), headers=headers) as response:
        return response


CALLS = {  # by the scopes of which a key needs one
    (): ["/", "/docs", "/openapi.json", "/favicon.ico", "/static/page.js", "/livez", "/readyz", "/v2/health/ready"],
    ("classify",): ["/classify", "/classify/", "/explain", "/models", "/models/fashion-mlp/2/README.md", "/v2"],
    ("metrics",): ["/metrics", "/metrics/"],
    ("admin",): [LOAD],
    ("classify", "admin"): ["/v2/repository/index"],
}


@pytest.mark.parametrize(("scopes", "path"), [(scopes, path) for scopes, paths in CALLS.items() for path in paths])
def test_a_call_needs_a_key_of_its_scope(locked, scopes, path):
    statuses = {key: ask(locked, path, key).status_code for key in (None, *KEYS)}

    assert scopes_for(path) == scopes
    assert (statuses.pop(None) == 401) is bool(scopes)
    assert {key for key, status in statuses.items() if status == 403} == ({*KEYS} - {*scopes} if scopes else set())
    assert 401 not in statuses.values()


@pytest.mark.parametrize("path", [f"/{LOAD}", f"//{LOAD}/", "//metrics", "///metrics//"])
@pytest.mark.parametrize("root", ["", "/ml"])
def test_more_slashes_do_not_get_around_the_scopes(serve, keys_file, path, root):
    client = serve(keys_file=keys_file, root_path=root)
    bearer = {"Authorization": f"Bearer {KEYS['classify']}"}

    statuses = {
        client.open(environ_overrides={"PATH_INFO": root + path}, method=method, headers=bearer).status_code
        for method in ("GET", "POST")
    }

    assert statuses == {403}


@pytest.mark.parametrize("path", ["/nothing", "/static", "/livez/x", "/models/../livez", "/V2/health/live"])
def test_an_unknown_path_needs_a_key_too(locked, path):
    assert ask(locked, path).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer key-classify"},
        {"Authorization": "bearer  key-classify "},
        {"X-API-Key": "key-classify"},
        {"Authorization": "Basic eDp5", "X-API-Key": "key-classify"},
        {"Authorization": "Bearer of-a-gateway", "X-API-Key": "key-classify"},
        {"Authorization": "Bearer", "X-API-Key": "key-classify"},
        {"Authorization": "Bearer key-classify", "X-API-Key": "k" * 2_000},
    ],
)
def test_a_key_is_sent_as_a_bearer_token_or_as_x_api_key(locked, headers):
    assert locked.get("/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer no"}, {"Authorization": "Bearer"}, {"X-API-Key": "ÿ"}, {"X-API-Key": "k" * 2_000}],
)
def test_without_a_valid_key_the_answer_says_how_to_send_one(locked, image, headers):
    response = locked.post("/classify", data=image("bag"), headers=headers, **KIND)

    assert (response.status_code, response.json["code"]) == (401, "unauthorised")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Authorization: Bearer KEY" in response.json["detail"]


def test_the_protocol_keeps_its_form_for_a_request_without_a_key(locked):
    response = locked.get("/v2/models/fashion-mlp")

    assert (response.status_code, list(response.json)) == (401, ["error"])


def test_the_log_has_the_name_of_the_key_and_never_the_key(locked, image, capfd):
    for key in ("key-classify", "key-unknown"):
        locked.post("/classify", data=image("bag"), headers={"Authorization": f"Bearer {key}"}, **KIND)
    locked.application.extensions["thimble"].flush()

    lines = capfd.readouterr().err
    assert [json.loads(line).get("key") for line in lines.splitlines()] == ["classify", None]
    assert "key-" not in lines


def test_the_page_asks_for_a_key_only_where_one_is_needed(locked, client):
    assert 'id="key"' in locked.get("/").text
    assert 'id="key"' not in client.get("/").text


def test_the_document_says_which_scope_a_call_needs(locked, client):
    calls = locked.get("/openapi.json").json["paths"]

    assert calls["/classify"]["post"]["security"] == [{"bearer": ["classify"]}, {"apiKey": ["classify"]}]
    assert "security" not in calls["/livez"]["get"]
    assert "security" not in client.get("/openapi.json").json["paths"]["/classify"]["post"]
    assert "Needs a key with the scope <code>admin</code>" in locked.get("/docs").text


def test_a_limit_counts_images_and_says_what_is_left(serve, image):
    limited = serve(rate_limit="20/minute")

    def post(number):
        files = [(BytesIO(image("bag")), f"{place}.png") for place in range(number)]
        return limited.post("/classify", data={"image": files}, content_type="multipart/form-data")

    first, second, third = post(16), post(16), post(4)

    assert [answer.status_code for answer in (first, second, third)] == [200, 429, 200]
    assert {answer.headers["RateLimit-Policy"] for answer in (first, second, third)} == {'"default";q=20;w=60'}
    assert first.headers["RateLimit"] == '"default";r=4;t=60'
    assert second.json["code"] == "rate-limited"
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    assert second.headers["RateLimit"] == f'"default";r=4;t={second.headers["Retry-After"]}'
    assert third.headers["RateLimit"].startswith('"default";r=0;')


def test_every_call_that_takes_images_counts(serve, image):
    limited = serve(rate_limit="4/hour", default_grey="fashion-mlp")

    statuses = [
        limited.post("/explain", data=image("bag"), **KIND).status_code,
        limited.post("/classify", data=b"hello", **KIND).status_code,
        infer(limited, pixels_input(np.zeros((2, 28, 28, 1), np.uint8))).status_code,
        infer(limited, files_input(image("bag"))).status_code,
        limited.post("/explain", data=image("bag"), **KIND).status_code,
    ]

    assert statuses == [200, 422, 200, 429, 429]
    assert limited.get("/models").status_code == 200


def test_more_images_than_the_limit_are_refused_with_the_limit(serve, image):
    response = infer(serve(rate_limit="1/second"), pixels_input(np.zeros((2, 28, 28, 1), np.uint8)))

    assert response.status_code == 429
    assert response.json["error"] == "The request has 2 images, and the limit is 1 images per second; send fewer."


def test_addresses_and_keys_have_limits_of_their_own(serve, keys_file, image):
    def statuses(client, senders):
        return [client.post("/classify", data=image("bag"), **KIND, **sender).status_code for sender in senders]

    addresses = [{"environ_base": {"REMOTE_ADDR": f"192.0.2.{host}"}} for host in (1, 1, 2)]
    key = {"headers": {"X-API-Key": KEYS["classify"]}}

    assert statuses(serve(rate_limit="1/hour"), addresses) == [200, 429, 200]
    assert statuses(serve(rate_limit="1/hour", keys_file=keys_file), [a | key for a in addresses]) == [200, 429, 429]


def test_no_other_origin_is_allowed_by_default(client):
    answers = [ask(client, "/models", Origin=APP), ask(client, "/classify", method="OPTIONS", Origin=APP)]

    assert [name for answer in answers for name, _ in answer.headers if name.startswith("Access-Control")] == []


def test_an_allowed_origin_may_read_answers_and_refusals(serve, keys_file):
    client = serve(allowed_origins=f"{APP} http://localhost:3000", keys_file=keys_file)

    answers = [ask(client, "/models", key, Origin=APP) for key in ("classify", None)]

    assert [answer.status_code for answer in answers] == [200, 401]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://evil.example", f"{APP}.evil.example", "http://app.example", "null"])
def test_an_origin_that_is_not_allowed_gets_no_header_of_cors_but_vary(serve, origin):
    answer = ask(serve(allowed_origins=APP), "/models", Origin=origin)

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


def test_a_preflight_is_answered_without_a_key(serve, keys_file):
    client = serve(allowed_origins=APP, keys_file=keys_file)

    answer = ask(client, "/classify", method="OPTIONS", Origin=APP, Access_Control_Request_Method="POST")

    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-api-key", "traceparent", "tracestate"} <= {*allowed}


def test_a_star_allows_any_origin(serve):
    answer = ask(serve(allowed_origins="*"), "/models", Origin="null")

    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origins", [APP, "*"])
def test_a_page_of_an_allowed_origin_cannot_load(serve, origins):
    client = serve(allowed_origins=origins)

    preflight = ask(client, LOAD, method="OPTIONS", Origin=APP, Access_Control_Request_Method="POST")
    loading = ask(client, LOAD, Origin=APP)

    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert "Access-Control-Allow-Origin" not in loading.headers
    assert loading.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000", "Sec_Fetch_Site": "same-origin"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "thimble.localhost"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000", "Sec_Fetch_Site": "same-origin"}, 403),
        ({"Host": "[evil"}, 403),
        ({"Host": "evil-localhost"}, 403),
    ],
)
@pytest.mark.parametrize("change", ["load", "unload"])
def test_another_sites_page_cannot_load_or_unload_even_under_a_name_that_leads_here(serve, change, headers, status):
    assert ask(serve(), LOAD.replace("load", change), method="POST", **headers).status_code == status


def test_a_key_or_a_named_origin_makes_any_host_known(serve, keys_file):
    host = {"Host": "app.example"}

    assert ask(serve(allowed_origins=APP), LOAD, **host).status_code == 200
    assert ask(serve(keys_file=keys_file), LOAD, "admin", **host).status_code == 200
    assert ask(serve(keys_file=keys_file), LOAD, "admin", Origin=APP).status_code == 403


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"root_path": "/ml"}, {}),
        ({"trusted_proxies": "127.0.0.1"}, {"X-Forwarded-Prefix": "/ml"}),
        ({"trusted_proxies": "127.0.0.1", "root_path": "/other"}, {"X-Forwarded-Prefix": "/ml/"}),
    ],
)
def test_under_a_root_path_all_links_of_the_pages_begin_with_it(serve, settings, headers):
    client = serve(**settings)

    for path in ("/", "/docs", "/nothing"):
        page = client.get(path, headers=headers | {"Accept": "text/html"}).text
        links = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page)
        assert [link for link in links if not link.startswith("/ml/")] == []
        assert 'data-root="/ml"' in page
        assert len(links) > 4
    document = client.get("/openapi.json", headers=headers).json
    assert [server["url"] for server in document["servers"]] == ["/ml"]


def test_a_prefix_from_elsewhere_is_ignored(client):
    assert re.search(r'src="/static/\w+/page\.js"', client.get("/", headers={"X-Forwarded-Prefix": "/ml"}).text)


SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
SECURITY |= {"Cross-Origin-Resource-Policy": "same-origin"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/docs", "/static/page.js", "/models", "/livez", "/nothing", "/v2/nothing")),
        *(("POST", path) for path in ("/classify", "/explain", "/livez")),
        ("OPTIONS", "/classify"),
    ],
)
def test_every_answer_has_the_headers_of_security_once(client, method, path):
    with client.open(path, method=method) as response:
        assert SECURITY.items() <= dict(response.headers).items()
        (policy,) = response.headers.getlist("Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert len(response.headers.getlist("X-Content-Type-Options")) == 1


def test_a_worker_without_requests_reads_the_keys_too(serve, keys_file, monkeypatch):
    monkeypatch.setattr("serving.access.key_file.READ_INTERVAL", 0)
    idle = serve(keys_file=keys_file)
    lifecycle = idle.application.extensions["thimble"]

    for content in ("", "broken"):
        Path(keys_file).write_text(content)
        lifecycle.tick()

    assert ask(idle, "/models", "classify").status_code == 401
