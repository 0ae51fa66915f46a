"""Facts about where notices may go: names, addresses, and the connection itself."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from webhooks.egress import Barred, is_openable, is_public, judge, read_allowed
from webhooks.guarded import Guard
from webhooks.outbound import client, send

BARRED = [
    "http://shop.example/", "https://shop.example:8443/", "https://user@shop.example/", "https://a:b@shop.example/",
    "https://127.0.0.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/",
    "https://0x7f.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/",
    "https://169.254.169.254/", "https://[fd00:ec2::254]/", "https://10.1.2.3/", "https://100.64.0.1/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::]/", "https://0.0.0.0/",
    "https://[5f00::1]/", "https://shop.example\\@127.0.0.1/", "https://shop.example/#x", "https://\u2460.example/",
    "https://127\u3002 0.0.1/", "https://%31%32%37.0.0.1/", "ftp://shop.example/", "file:///etc/passwd", "https:///x",
    "//shop.example/", "https://-a.example/", "https://a..example/", "https://[127.0.0.1]/", "https://shop.example:x/",
    "https://198.18.0.1/", "https://192.0.2.1/", "https://224.0.0.1/", "https://255.255.255.255/", "",
]  # fmt: skip


@pytest.mark.parametrize("url", BARRED)
def test_what_is_barred(url: str) -> None:
    """No URL that a reader could take for an address of ours, and none but https on 443."""
    with pytest.raises(Barred):
        judge(url)


@pytest.mark.parametrize(
    "url", ["https://shop.example/hooks?x=1", "https://xn--caf-dma.example:443/", "https://93.184.215.14/",
            "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "https://localhost/"]
)  # fmt: skip
def test_what_may_be_tried(url: str) -> None:
    """A name is only judged by what it resolves to."""
    assert not judge(url).is_allowed


def test_the_allow_list_opens_a_host_and_no_more() -> None:
    """A host, or a host at a port; http too; but never metadata, whatever the list says."""
    allowed = read_allowed("hooks.internal, 127.0.0.1:9000,[::1],169.254.169.254")
    assert judge("http://hooks.internal:8080/x", allowed).is_allowed
    assert judge("http://127.0.0.1:9000/", allowed).is_allowed and judge("http://[::1]:1/", allowed).is_allowed
    for url in ("http://127.0.0.1:9001/", "http://sub.hooks.internal/", "http://169.254.169.254/"):
        with pytest.raises(Barred):
            judge(url, allowed)


@pytest.mark.parametrize("text", ["::7f00:1", "::ffff:0:7f00:1", "fec0::1", "4000::1", "2001:db8::1", "192.88.99.1"])
def test_an_address_that_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text)) and not is_openable(ip_address(text))


async def _canary() -> tuple[asyncio.Server, list[int], int]:
    seen: list[int] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(1)
        await reader.read(10)
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    return server, seen, server.sockets[0].getsockname()[1]


async def test_one_private_address_bars_the_name() -> None:
    """A name with a public and a private address is refused as a whole, before any connection."""
    server, seen, _ = await _canary()

    async def both(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "127.0.0.1"]

    async with server, client(Guard(frozenset(), both)) as http:
        with pytest.raises(httpx.TransportError, match="barred"):
            await http.post("https://shop.example/")
    assert not seen


async def test_the_address_that_was_judged_is_the_one_connected_to() -> None:
    """One resolving for each connection: a name that answers otherwise the second time is not asked a second time."""
    server, seen, port = await _canary()
    asked: list[str] = []

    async def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async with server, client(Guard({f"hooks.internal:{port}"}, rebinding)) as http:
        answer = await http.post(f"http://hooks.internal:{port}/", content=b"x")
    assert answer.status_code == 204 and asked == ["hooks.internal"] and len(seen) == 1


async def test_an_allowed_host_opens_no_metadata() -> None:
    """Even an allow-listed name may not resolve to a link-local address."""

    async def metadata(host: str, _: int) -> list[str]:
        return ["169.254.169.254"]

    async with client(Guard({"hooks.internal"}, metadata)) as http:
        with pytest.raises(httpx.TransportError, match="barred"):
            await http.post("http://hooks.internal/")


async def test_a_receiver_that_cannot_prove_who_it_is_gets_nothing(tmp_path: Path) -> None:
    """Its certificate is signed by nobody we know, or is for another name: no byte of a notice leaves."""
    heard = list[bytes]()

    async def hear(request: web.Request) -> web.Response:
        heard.append(await request.read())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(self_signed(tmp_path / "cert.pem"))
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secured).start()
    port = runner.addresses[0][1]
    try:
        async with client(allowed={"localhost"}) as http:
            answer = await send(http, f"https://localhost:{port}/", {}, b"{}", datetime.now(UTC))
    finally:
        await runner.cleanup()
    assert (answer.status, heard) == (0, []) and "certificate" in answer.detail.lower()


def self_signed(path: Path) -> Path:
    """A certificate for localhost that nobody vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + plain)
    return path
