"""What a shopper reads at the end of the demo: the real pages, opened over HTTP, each state in two languages.

The words are written down here a second time and not taken from the catalogues: a sentence that is lost there is found.
"""

import html
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from cli.staging import EMAIL, Staged

LANGUAGES = ("en", "de")
EACH = 2
"""Parcels of each end state whose pages are opened."""

Words = Mapping[str, tuple[str, str]]
"""By state, what a page must say in each language: a pattern."""

_ORDERS: Words = {
    "out/delivered": ("Your parcel was delivered on", "Ihr Paket wurde am"),
    "out/undeliverable": ("could not be delivered", "nicht zugestellt werden"),
    "out/lost": ("cannot find your parcel", "nicht finden"),
    "back/delivered": ("came back to the shop's warehouse", "ins Lager des Shops zurück"),
    "back/in_transit": ("on its way back to the shop", "auf dem Rückweg zum Shop"),
    "customs_hold": ("Your parcel is at customs", "beim Zoll"),
    "damaged": ("found damage", "einen Schaden"),
}
_RETURNS: Words = {
    "out/delivered": ("Arrived at the warehouse", "Im Lager angekommen"),
    # a label that nobody used for long is no longer waited for
    "out/label_created": ("Your label is ready|it was cancelled", "Ihr Etikett ist bereit|wurde storniert"),
    "back/delivered": ("Turned round on its way", "Unterwegs umgekehrt"),
    "out/lost": ("Lost", "Verloren"),
}


async def read_pages(
    service: httpx.AsyncClient, staged: Sequence[Staged], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Open the pages of a few parcels of every end state; how many were opened, right, and what was not."""
    opened, wrong, states, began = 0, list[str](), set[str](), time.monotonic()
    async with httpx.AsyncClient(base_url=service.base_url, trust_env=False, timeout=30.0) as shopper:
        for each, state in sample(staged, rows):
            states.add(state)
            for language, words in zip(LANGUAGES, _expected(each, state), strict=True):
                opened += 1
                if trouble := await _trouble(shopper, each, language, words):
                    wrong.append(f"{each.play.journey} {state} {language}: {trouble}")
    return {
        "opened": opened,
        "right": opened - len(wrong),
        "states": len(states),
        "seconds": round(time.monotonic() - began, 1),
        "wrong": wrong,
    }


def sample(staged: Sequence[Staged], rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[Staged, str]]:
    """The first few parcels of each end state, in the order in which they were put on."""
    found: dict[str, list[tuple[Staged, str]]] = {}
    for each in staged:
        truth = rows[each.number]["truth"]
        state = f"{truth['leg']}/{truth['status']}"
        state = each.play.journey if state == "out/on_hold" else state
        found.setdefault(f"{each.play.purpose} {each.play.carrier} {state}", []).append((each, state))
    return [one for parcels in found.values() for one in parcels[:EACH]]


def _expected(each: Staged, state: str) -> tuple[str, str]:
    words = _RETURNS if each.return_number else _ORDERS
    return words.get(state) or (f"nobody wrote down what a page says of {state}",) * 2


async def _trouble(shopper: httpx.AsyncClient, each: Staged, language: str, words: str) -> str:
    """What is wrong with this page; "" when a shopper reads what is so."""
    kind, number = ("return", each.return_number) if each.return_number else ("order", each.order_number)
    answer = await shopper.post(
        f"/follow/{kind}", data={"number": number, "email": EMAIL}, headers={"Accept-Language": language}
    )
    shopper.cookies.clear()
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    text = text_of(answer.text)
    if f'lang="{language}"' not in answer.text:
        return f"not in {language}"
    if not re.search(words, text):
        return f"{words!r} is not in it"
    return "a person's name is in it" if "Ann Example" in text else ""


def text_of(page: str) -> str:
    """The words of a page's main part, as they are read."""
    main = re.sub(r"(?s).*<main[^>]*>|</main>.*", "", page)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", main))).strip()
