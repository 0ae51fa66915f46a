"""Where notices may go: which URLs and which addresses are fit to be connected to (pure).

A receiver's URL is a stranger's word: without these rules our own network could be reached through us. The name is
judged when it is given and again before each try; the addresses it resolves to are judged when they are connected to.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address

# The union of what two kept egress guards refuse.  # source: design/faults-and-security.md (e) Outbound; RFC 6890
_NOT_PUBLIC = tuple(
    ip_network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
# Only global unicast is public in IPv6: whatever is given a meaning later is refused today.
_UNICAST = ip_network("2000::/3")
# What an allow-list may open. Never the link-local metadata addresses, never "this host" as 0.0.0.0.
_OPENABLE = tuple(
    ip_network(net)
    for net in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
# The last label of a name that some readers take for a number: 2130706433, 0x7f.1, 0177.0.0.1, 127.1
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FIT = re.compile(r"[!#-;=?-Z_a-z~\[\]%]+")  # visible ASCII without what readers of URLs disagree about
_LONGEST = 2000


class Barred(ValueError):
    """This place is no place for our notices; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was judged: its host as every reader reads it, and whether the allow-list opens it."""

    host: str
    port: int
    is_allowed: bool


def judge(url: str, allowed: Collection[str] = (), https_port: int = 443) -> Target:
    """The target of a URL that may be connected to: https on port 443, or a host of the allow-list. Raises Barred."""
    if len(url) > _LONGEST or not _FIT.fullmatch(url):
        raise Barred("a URL in visible ASCII is expected (a name in other letters as xn--...)")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        raise Barred("not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Barred("https and a host are expected")
    if "@" in parts.netloc or "#" in url or "%" in parts.netloc:
        raise Barred("a URL without user, password or fragment is expected")
    literal = _literal(host, bracketed=parts.netloc.startswith("["))
    port = port if port is not None else 443 if parts.scheme == "https" else 80
    is_allowed = host in allowed or f"{host}:{port}" in allowed
    if not is_allowed:
        if parts.scheme != "https":
            raise Barred("https is expected")
        if port != https_port:
            raise Barred(f"port {https_port} is expected")
    if literal is not None:
        check([literal], is_allowed=is_allowed)
    return Target(host, port, is_allowed)


def _literal(host: str, *, bracketed: bool) -> Address | None:
    """The address that a host is, or None where it is a name. Raises Barred for what is neither."""
    try:
        address = ip_address(host)
    except ValueError:
        if bracketed or not _NAME.fullmatch(host) or len(host) > 253 or _NUMERIC.fullmatch(host.rpartition(".")[2]):
            raise Barred("neither a name nor an address") from None
        return None
    if bracketed != isinstance(address, IPv6Address) or getattr(address, "scope_id", None):
        raise Barred("neither a name nor an address")
    return address


def check(addresses: Iterable[Address], *, is_allowed: bool = False) -> None:
    """Raise Barred unless every address is public, or one that the allow-list may open for this host."""
    found = list(addresses)
    if not found:
        raise Barred("the name has no address")
    for address in found:
        if not (is_public(address) or (is_allowed and is_openable(address))):
            raise Barred("an address that is not public")


def is_public(address: Address) -> bool:
    """Whether the address belongs to the internet at large."""
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return not any(address.version == net.version and address in net for net in _NOT_PUBLIC)


def is_openable(address: Address) -> bool:
    """Whether an allow-list can open it: private and loopback ones, not metadata, multicast or reserved ones."""
    return any(address.version == net.version and address in net for net in _OPENABLE)


def read_allowed(text: str) -> frozenset[str]:
    """Hosts separated by commas, each `host` or `host:port`, as the allow-list names them."""
    return frozenset(part.strip().strip("[]").lower().removesuffix(".") for part in text.split(",") if part.strip())
