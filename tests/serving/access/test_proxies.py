"""What proxies say of a request is believed where they are trusted, and ignored elsewhere."""

import pytest

from serving.access.proxies import Proxies, parse_networks

TRUSTED = parse_networks("10.0.0.0/8, 127.0.0.1 2001:db8::/32")


def after(proxies, peer="10.0.0.1", path="/models", **headers):
    """Return a request's environ after the proxies; headers: PROTO for X-Forwarded-Proto."""
    environ = {"REMOTE_ADDR": peer, "HTTP_HOST": "inner", "wsgi.url_scheme": "http", "PATH_INFO": path}
    environ |= {f"HTTP_X_FORWARDED_{name}": value for name, value in headers.items()}
    proxies(environ)
    return environ


@pytest.mark.parametrize(
    ("addresses", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.66, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.66,192.0.2.7, 10.2.3.4", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:DB9::7]:4711", "2001:db9::7"),
        ("2001:db9::7, 2001:db8::1", "2001:db9::7"),
        (f"fe80::7%{'x' * 1_000}, 10.2.3.4", "fe80::7"),
        ("10.9.9.9, 10.8.8.8", "10.9.9.9"),
        ("192.0.2.7, unknown, 10.8.8.8", "10.8.8.8"),
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxys(addresses, client):
    assert after(Proxies(TRUSTED, ""), FOR=addresses)["REMOTE_ADDR"] == client


def test_a_trusted_proxy_says_scheme_host_and_prefix():
    environ = after(Proxies(TRUSTED, ""), PROTO="https", HOST="spoofed.example, ml.example:8443", PREFIX="/ml/")

    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "ml.example:8443"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/ml", "/models")


@pytest.mark.parametrize("peer", ["192.0.2.1", "", "::1"])
def test_what_another_client_says_is_ignored(peer):
    said = {"FOR": "192.0.2.7", "PROTO": "https", "HOST": "evil.example", "PREFIX": "/evil"}

    environ = after(Proxies(TRUSTED, ""), peer, **said)

    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"], environ["wsgi.url_scheme"]) == (peer, "inner", "http")
    assert "SCRIPT_NAME" not in environ


@pytest.mark.parametrize("said", [{"PREFIX": "//evil.example"}, {"PREFIX": '/"><b>'}, {"HOST": "a/b"}, {"PROTO": "js"}])
def test_what_cannot_be_a_prefix_a_host_or_a_scheme_is_ignored(said):
    environ = after(Proxies(TRUSTED, ""), **said)

    assert (environ["HTTP_HOST"], environ["wsgi.url_scheme"]) == ("inner", "http")
    assert "SCRIPT_NAME" not in environ


@pytest.mark.parametrize(
    ("path", "seen"), [("/ml/models", "/models"), ("/models", "/models"), ("/ml", "/"), ("/mlx", "/mlx")]
)
def test_a_proxy_may_keep_the_root_path_or_remove_it(path, seen):
    environ = after(Proxies((), "/ml"), path=path)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/ml", seen)


def test_a_mapped_address_of_a_trusted_proxy_is_trusted():
    assert after(Proxies(TRUSTED, ""), "::ffff:10.0.0.1", FOR="192.0.2.7")["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize(
    ("network", "trusted"),
    [("::ffff:10.0.0.0/104", True), ("::ffff:11.0.0.0/104", False), ("::ffff:0:0/96", True), ("::/95", False)],
)
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_network_of_mapped_addresses_is_the_network_that_they_mean(network, trusted, peer):
    client = after(Proxies(parse_networks(network), ""), peer, FOR="192.0.2.7")["REMOTE_ADDR"]

    assert client == ("192.0.2.7" if trusted else peer)
