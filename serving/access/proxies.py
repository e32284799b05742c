"""Proxies in front of the service: which are believed, and under which path they show it."""

import re
from collections.abc import Collection
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from wsgiref.types import WSGIEnvironment

HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([0-9.]+):\d+")

MAPPED_BITS = 96  # of ::ffff:0:0/96, in which each IPv4 address has an IPv6 address

Network = IPv4Network | IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse addresses and networks with commas or spaces between them; raises ValueError."""
    words = text.replace(",", " ").split()
    try:
        return tuple(_as_ipv4(ip_network(word, strict=False)) for word in words)
    except ValueError as error:
        raise ValueError(f"Expected addresses or networks such as 10.0.0.0/8 ({error})") from error


def parse_root_path(text: str) -> str:
    """Parse a path such as /ml; a slash at its end changes nothing. Raises ValueError."""
    path = text.strip().rstrip("/")
    if not ROOT_PATH.fullmatch(path):
        raise ValueError("Expected a path such as /ml, of slashes, letters, digits and -._~")
    return path


class Proxies:
    """Puts into a request what the proxies in front of the service say of it."""

    def __init__(self, trusted: Collection[Network], root_path: str) -> None:
        """trusted: what other clients say of themselves is ignored. root_path: unless a trusted proxy names one."""
        self._root_path = root_path
        self._trusts = lru_cache(maxsize=4_096)(partial(_is_in, tuple(trusted)))

    def __call__(self, environ: WSGIEnvironment) -> None:
        """Set the client's address, the scheme, the host and the path under which the client sees the service."""
        root = self._root_path
        if self._trusts(environ.get("REMOTE_ADDR", "")):
            root = self._believe(environ)
        if root:
            environ["SCRIPT_NAME"] = root
            if (path := environ["PATH_INFO"]).startswith(f"{root}/") or path == root:  # kept by the proxy
                environ["PATH_INFO"] = path[len(root) :] or "/"

    def _believe(self, environ: WSGIEnvironment) -> str:
        """Take over the headers of a trusted proxy; return the root path."""
        if addresses := environ.get("HTTP_X_FORWARDED_FOR"):
            environ["REMOTE_ADDR"] = self._client(environ["REMOTE_ADDR"], addresses)
        if (scheme := _last(environ, "PROTO").lower()) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        if HOST.fullmatch(host := _last(environ, "HOST")):
            environ["HTTP_HOST"] = host
        prefix = _last(environ, "PREFIX").rstrip("/")
        return prefix if prefix and ROOT_PATH.fullmatch(prefix) else self._root_path

    def _client(self, peer: str, addresses: str) -> str:
        """Return the last address that is not a trusted proxy's: those before it may be made up."""
        client = peer
        for word in reversed(addresses.split(",")):
            address = _without_port(word.strip())
            if address is None:
                break
            client = address
            if not self._trusts(client):
                break
        return client


def _as_ipv4(network: Network) -> Network:
    """Return the IPv4 network that an IPv6 network of mapped addresses means, otherwise the network itself."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def _is_in(networks: Collection[Network], address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket
        return False
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in network for network in networks)


def _last(environ: WSGIEnvironment, name: str) -> str:
    """Return the value that the nearest proxy gave."""
    value: str = environ.get(f"HTTP_X_FORWARDED_{name}", "")
    return value.rpartition(",")[2].strip()


def _without_port(text: str) -> str | None:
    """Return the address in an entry of X-Forwarded-For, without the zone; None where it has none."""
    match = WITH_PORT.fullmatch(text)
    address = (match[1] or match[2]) if match else text
    try:
        return str(ip_address(address.partition("%")[0]))  # addresses are cached: zones would fill the memory
    except ValueError:
        return None
