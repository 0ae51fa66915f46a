"""Sends notices to five hundred URLs that lead, or seem to lead, into our own network: nothing of ours is connected to.

Canaries listen where an attack would arrive: on 127.0.0.1, ::1 and other loopback addresses, on the one port that https
may use here, so that whatever got through would be seen. Names resolve as the attacker wants, otherwise at each
question. A real receiver, allowed by name, answers with redirects into the same places and must be the only one that is
ever connected to.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from webhooks.egress import Barred, judge
from webhooks.guarded import Guard
from webhooks.outbound import client, send

AT_ONCE = 40
REDIRECTS = 60
PRIVATE = (
    "127.0.0.1", "127.0.0.2", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.7", "203.0.113.9",
)  # fmt: skip
PRIVATE_6 = (
    "::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fc00::1",
    "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::",
    "2001:db8::1", "5f00::1", "fec0::1", "100::1", "::ffff:0:7f00:1", "3fff::1",
)  # fmt: skip
PUBLIC = "93.184.215.14"
"""What a rebinding name answers first. It is never reached: a name with one private address is refused whole."""


@asynccontextmanager
async def canaries() -> AsyncIterator[tuple[int, Counter[str]]]:
    """Listeners on loopback addresses, all on one port, and what connected to each."""
    seen: Counter[str] = Counter()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen[writer.get_extra_info("sockname")[0]] += 1
        writer.close()

    first = await asyncio.start_server(one, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    servers = [first]
    for host in ("::1", "127.0.0.2", "127.1.2.3", "169.254.169.254"):
        try:
            servers.append(await asyncio.start_server(one, host, port))
        except OSError:  # no such address here: then a socket for it would be refused before it is made
            continue
    try:
        yield port, seen
    finally:
        for server in servers:
            server.close()


@asynccontextmanager
async def redirector(targets: list[str]) -> AsyncIterator[tuple[int, list[str]]]:
    """The real receiver: answers each call with a redirect to the next of these; its port, and what it was asked."""
    asked: list[str] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b" ", 2)[1].decode())
        where = targets[len(asked) % len(targets)]
        status = (301, 302, 303, 307, 308)[len(asked) % 5]
        writer.write(f"HTTP/1.1 {status} x\r\nLocation: {where}\r\nRefresh: 0;url={where}\r\n".encode())
        writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def written(address: str) -> Iterator[str]:
    """An IPv4 address in the ways in which readers of URLs have taken one."""
    a, b, c, d = (int(part) for part in address.split("."))
    whole = (a << 24) | (b << 16) | (c << 8) | d
    yield from (address, f"{address}.", str(whole), f"0x{whole:x}", f"0{whole:o}", f"0X{whole:X}")
    yield from (f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a}.{(b << 16) | (c << 8) | d}")
    yield from (f"{a}.{b}.{(c << 8) | d}", f"{a:#x}.{b}.{c}.0{d:o}", f"00{a}.{b}.{c}.{d}")
    yield "".join(chr(0xFF10 + int(x)) if x.isdigit() else "\u3002" for x in address)  # full width, ideographic dot
    yield quote(address.replace(".", "%2e"), safe="%")
    yield from (f"[::ffff:{address}]", f"[::{address}]", f"{address}%00.shop.example")


def corpus(port: int) -> list[str]:
    """The URLs, each once."""
    urls = [f"https://{host}{tail}" for each in PRIVATE for host in written(each) for tail in ("/", f":{port}/x")]
    urls += [f"http://{host}:{port}/" for each in PRIVATE[:4] for host in written(each)]
    urls += [f"https://[{each}]{tail}" for each in PRIVATE_6 for tail in ("/", f":{port}/")]
    for each in PRIVATE[:7]:
        urls += [
            f"https://shop.example@{each}/", f"https://{each}@shop.example:{port}/", f"https://shop.example:x@{each}/",
            f"https://{each}#@shop.example/", f"https://shop.example\\@{each}/", f"https://{each}\\.shop.example/",
            f"https://{each}\t.shop.example/", f"https:/\\{each}/", f"https:///{each}/", f"//{each}/", f" https://{each}/",
            f"https://{each}?@shop.example/", f"HTTPS://{each}/", f"https://[{each}]/", f"https://{each}:443:{port}/",
            f"https://{each}:{port}%2f@shop.example/", f"gopher://{each}/", f"file://{each}/etc/passwd",
        ]  # fmt: skip
    names = ("rebind", "both", "private", "mapped", "many", "xn--lcalhost-c1a", "localtest", "metadata")
    urls += [f"https://{name}{n}.evil.example:{port}/" for name in names for n in range(4)]
    urls += [f"https://localhost.:{port}/", f"https://LOCALHOST:{port}/", f"https://localhost:{port}/"]
    urls += ["https://l\u00f6calhost/", "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/"]
    return list(dict.fromkeys(urls))


class Attacker:
    """A resolver with a time to live of zero: another answer at each question."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def look(self, host: str, port: int) -> list[str]:
        self.asked[host] += 1
        await asyncio.sleep(0)
        if host == "hooks.allowed.example":
            return ["127.0.0.1"]
        if host.startswith("rebind"):
            return [PUBLIC, "127.0.0.1"] if self.asked[host] % 2 else ["127.0.0.1"]
        if host.startswith("both"):
            return [PUBLIC, "::1"]
        if host.startswith("mapped"):
            return ["::ffff:127.0.0.1"]
        if host.startswith("many"):
            return [f"93.184.215.{n}" for n in range(20)] + ["127.0.0.2"]
        if host.startswith("metadata"):
            return ["169.254.169.254"]
        return ["127.0.0.1"]


async def run(*, seed: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether no canary saw a connection."""
    attacker, now = Attacker(), datetime.now(UTC)
    async with canaries() as (port, seen):
        urls = corpus(port)
        random.Random(seed).shuffle(urls)
        async with redirector([url for url in urls if url.isascii() and "\t" not in url]) as (allowed_port, asked):
            allowed = f"hooks.allowed.example:{allowed_port}"
            turn, outcomes = asyncio.Semaphore(AT_ONCE), Counter[str]()
            async with client(Guard({allowed}, attacker.look, port)) as http:

                async def attack(url: str) -> None:
                    async with turn:
                        answer = await send(http, url, {"webhook-id": "msg_x"}, b"{}", now)
                    outcomes["answered" if answer.status else "refused"] += 1

                async def redirected(n: int) -> None:
                    async with turn:
                        answer = await send(http, f"http://{allowed}/{n}", {"webhook-id": "msg_x"}, b"{}", now)
                    outcomes["redirects_taken_as_arrival"] += answer.arrived

                async with asyncio.TaskGroup() as group:
                    for url in urls:
                        group.create_task(attack(url))
                    for n in range(REDIRECTS):
                        group.create_task(redirected(n))
            barred = sum(_is_barred(url, port) for url in urls)
            return {
                "held": not seen and not outcomes["answered"] and len(urls) >= 500
                and sorted(asked) == sorted(f"/{n}" for n in range(REDIRECTS))
                and not outcomes["redirects_taken_as_arrival"],
                "urls": len(urls),
                "barred_by_their_words": barred,
                "barred_by_their_addresses": len(urls) - barred,
                "answered": outcomes["answered"],
                "canary_connections": sum(seen.values()),
                "names_resolved": sum(attacker.asked.values()),
                "redirects": len(asked),
            }  # fmt: skip


def _is_barred(url: str, port: int) -> bool:
    try:
        judge(url, https_port=port)
    except Barred:
        return True
    return False
