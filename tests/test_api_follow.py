"""The public look-up: what a number alone shows, what a proof opens, and that refusals tell nothing."""

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.client import network
from api.kept import KEPT
from api.lookups import coarse
from api.words import FOLDER, catalogues, choose, read_catalogue, render
from fleet.clocks import text, to_us
from fleet.documents import Documents
from fleet.failures import Failures, Limits, network_of
from merchants.terms import shipped
from store.engine import Store
from store.parcels import reschedule_all
from street.town import Town
from tests.doors import CANARIES, MONDAY, Doors, make_house, on_the_street, open_doors
from tracker.follow import SENTENCES, AttemptStory, EventStory, Follow, FollowKind, Message, ParcelStory, Tier
from tracker.lookup import _hand_over_by

FRIDAY = MONDAY + timedelta(days=11)
EMAIL = {"email": "canary@example.com"}


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(FRIDAY) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    """An order whose parcel was tried three times and is on its way home."""
    async with open_doors(make_house(sqlite_store, street[1], FRIDAY)) as doors:
        await doors.put_order()
        parcel = street[0].create("ups", "three_attempts_home", starts_at=MONDAY)
        await doors.ship("B-1001", parcel.number)
        yield replace(doors)


async def ask(doors: Doors, headers: dict[str, str] | None = None, **body: str) -> tuple[int, Any]:
    async with doors.client.post("/v1/follow/order", json=body, headers=headers or {}) as response:
        return response.status, await response.json()


async def test_the_number_alone_shows_status_and_dates(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """No place, no number, no link, no carrier, no attempts, no events: nothing that narrows down an address."""
    status, told = await ask(doors, order_number="B-1001")
    assert (status, told["tier"]) == (200, "coarse")
    assert told["state_text"] and told["steps"] and told["next"]["text"]
    for parcel in told["parcels"]:
        assert parcel["status_text"] and parcel["promised"] == ["2026-03-04", "2026-03-06"]
        for name in ("place", "number", "carrier", "tracking_url", "events", "attempts", "max_attempts"):
            assert parcel[name] is None, name
        assert parcel["sentences"] == []
    text = json.dumps(told)
    number = next(iter(street[0].parcels))
    destination = street[0].parcels[number].destination
    assert not [secret for secret in (number, "Amsterdam", destination.city, "ups.com") if secret in text]


async def test_a_parcel_shipped_before_it_was_scanned(doors: Doors) -> None:
    """A shop that says so days late is not shown to have shipped after the carrier had the parcel."""
    _, told = await ask(doors, order_number="B-1001", **EMAIL)
    shipped = next(step["at"] for step in told["steps"] if step["key"] == "shipped")
    assert shipped[:10] == "2026-03-03"


@pytest.mark.parametrize(("language", "words"), [("en", "Collect it by"), ("de", "spätestens am")])
async def test_what_waits_says_until_when(sqlite_store: Store, language: str, words: str) -> None:
    """At an access point: the carrier's last day, in the shopper's language, as what happens next."""
    now = datetime(2026, 3, 12, 7, 28, tzinfo=UTC)
    async with on_the_street(now) as (town, carriers), open_doors(make_house(sqlite_store, carriers, now)) as doors:
        await doors.put_order()
        parcel = await doors.ship(
            "B-1001", town.create("ups", "access_point_collected", starts_at=MONDAY + timedelta(days=4)).number
        )
        _, told = await ask(doors, {"Accept-Language": language}, order_number="B-1001")
    assert parcel["status"] == "available_for_pickup"
    assert words in told["next"]["text"] and "{" not in told["next"]["text"]


async def test_a_story_made_before_is_told_again_until_anything_changes(
    store: Store, street: tuple[Town, dict[str, Any]]
) -> None:
    """Nothing is made twice from the same rows, language and proof; a scan, a tier or a language makes another."""

    class Counting(Documents):
        made_here = 0

        async def _share(self, name: bytes, document: bytes) -> bytes:
            self.made_here += 1
            return document

    documents = Counting()
    house = replace(make_house(store, street[1], FRIDAY), documents=documents)
    async with open_doors(house) as doors:
        doors.client.app[KEPT]._longest = timedelta()  # type: ignore[union-attr]
        await doors.put_order()
        number = street[0].create("ups", "three_attempts_home", starts_at=MONDAY).number
        status, first = await ask(doors, order_number="B-1001", **EMAIL)
        for _ in range(3):
            assert (status, first) == await ask(doors, order_number="B-1001", **EMAIL)
        assert (status, documents.made_here) == (200, 1)
        await ask(doors, order_number="B-1001")
        await ask(doors, {"Accept-Language": "it"}, order_number="B-1001", **EMAIL)
        assert documents.made_here == 3
        await doors.ship("B-1001", number)
        _, moved = await ask(doors, order_number="B-1001", **EMAIL)
        assert documents.made_here == 4 and moved["state"] != first["state"]
        soon = to_us(FRIDAY + timedelta(hours=1))
        await store.write(lambda tx: reschedule_all(tx, [{"of": 1, "to_review": None, "to_next_poll": soon,
                                                          "to_stale": None}]))  # fmt: skip
        _, later = await ask(doors, order_number="B-1001", **EMAIL)
        assert later["next_check_at"] == text(FRIDAY + timedelta(hours=1))


@pytest.mark.parametrize(
    "proof",
    [EMAIL, {"email": " CANARY@Example.com "}, {"postcode": "1015 CJ"}, {"postcode": "1015cj"}],
)
async def test_a_proof_opens_the_detail(
    doors: Doors, street: tuple[Town, dict[str, Any]], proof: dict[str, str]
) -> None:
    """E-mail or postcode, however they are written: number, link, attempts 1-2-3 with their days, every event."""
    status, told = await ask(doors, order_number="B-1001", **proof)
    assert (status, told["tier"]) == (200, "full")
    parcel = told["parcels"][0]
    assert parcel["number"] == next(iter(street[0].parcels)) and parcel["number"] in parcel["tracking_url"]
    assert (parcel["carrier"], parcel["place"], parcel["leg"]) == ("UPS", "Amsterdam, NL", "back")
    assert [attempt["ordinal"] for attempt in parcel["attempts"]] == [1, 2, 3]
    assert all(attempt["day"] and attempt["text"] for attempt in parcel["attempts"])
    assert parcel["events"] and all(event["text"] and event["at_local"] for event in parcel["events"])


async def test_nothing_about_a_person_is_ever_shown(doors: Doors) -> None:
    """No name, street, phone or e-mail in any public answer, whatever was proved."""
    for body in ({}, EMAIL, {"postcode": "1015 CJ"}, {"email": "wrong@example.com"}):
        _, told = await ask(doors, order_number="B-1001", **body)
        text = json.dumps(told)
        assert not [canary for canary in CANARIES if canary.lower() in text.lower()]
        async with doors.client.post("/follow/order", data={"number": "B-1001", **body}) as response:
            page = await response.text()
        assert not [canary for canary in CANARIES if canary.lower() in page.lower()]


def _without_ids(text: str) -> str:
    return re.sub(r'"request_id": "[0-9a-f]+"', "", text)


async def _refusal(doors: Doors, path: str, **body: str) -> tuple[int, str, dict[str, str]]:
    sent = {"data": body} if path.startswith("/follow") else {"json": body}
    async with doors.client.post(path, **sent) as response:  # type: ignore[arg-type]
        volatile = {"Date", "X-Request-Id", "X-Request-ID"}
        headers = {name: value for name, value in response.headers.items() if name not in volatile}
        return response.status, _without_ids(await response.text()), headers


async def test_wrong_unknown_and_locked_are_one_answer(sqlite_store: Store) -> None:
    """Same status, same body, same headers: as JSON and as a page."""
    failures = Failures(Limits(per_number=2, per_network=10_000))
    async with open_doors(make_house(sqlite_store, failures=failures)) as doors:
        await doors.put_order("B-1001")
        await doors.put_order("B-1002")
        for path, name in (("/v1/follow/order", "order_number"), ("/follow/order", "number")):
            wrong = await _refusal(doors, path, **{name: "B-1001", "email": "wrong@example.com"})
            await _refusal(doors, path, **{name: "B-1001", "postcode": "9999"})
            locked = await _refusal(doors, path, **{name: "B-1001", **EMAIL})
            unknown = await _refusal(doors, path, **{name: "B-9999", **EMAIL})
            strip = {"B-1001": "B-", "B-9999": "B-"}
            answers = [
                (status, re.sub("|".join(strip), "B-", body), headers)
                for status, body, headers in (wrong, locked, unknown)
            ]
            assert answers[0] == answers[1] == answers[2]
            assert answers[0][0] == 404
        status, _ = await ask(doors, order_number="B-1002", **EMAIL)
        assert status == 200  # its neighbours are not locked


async def test_a_refusal_never_comes_sooner_than_the_floor(sqlite_store: Store) -> None:
    """Whatever is wrong, a refused look-up takes the same least time; a granted one does not wait."""
    async with open_doors(make_house(sqlite_store, refused_lookup_seconds=0.2)) as doors:
        await doors.put_order("B-1001")
        for body in ({"order_number": "B-404"}, {"order_number": "B-1001", "email": "wrong@example.com"}):
            started = time.perf_counter()
            assert (await ask(doors, **body))[0] == 404
            assert time.perf_counter() - started >= 0.2
        started = time.perf_counter()
        assert (await ask(doors, order_number="B-1001"))[0] == 200
        assert time.perf_counter() - started < 0.15


async def test_a_network_that_guesses_is_no_longer_answered(sqlite_store: Store) -> None:
    """Its next look-up is refused even with the right proof; another network's is not."""
    failures = Failures(Limits(per_number=100, per_network=3))
    async with open_doors(make_house(sqlite_store, failures=failures, proxies=1)) as doors:
        await doors.put_order("B-1001")
        guesser, other = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
        for n in range(3):
            assert (await ask(doors, guesser, order_number=f"B-{n}"))[0] == 404
        assert (await ask(doors, guesser, order_number="B-1001", **EMAIL))[0] == 404
        assert (await ask(doors, other, order_number="B-1001", **EMAIL))[0] == 200


async def test_many_networks_with_a_guess_each_raise_the_alarm(sqlite_store: Store) -> None:
    """A postcode, the weakest proof, opens nothing then; an e-mail still does; the metric says so."""
    failures = Failures(Limits(per_number=100, per_network=100, everybody=5))
    async with open_doors(make_house(sqlite_store, failures=failures, proxies=1)) as doors:
        await doors.put_order("B-1001")
        assert (await ask(doors, order_number="B-1001", postcode="1015CJ"))[0] == 200
        for n in range(5):
            await ask(doors, {"X-Forwarded-For": f"203.0.113.{n}"}, order_number=f"B-{n}")
        assert failures.alarmed
        assert (await ask(doors, order_number="B-1001", postcode="1015CJ"))[0] == 404
        assert (await ask(doors, order_number="B-1001", **EMAIL))[0] == 200
        metrics = (await doors.call("GET", "/metrics"))[1].decode()
        assert 'homeward_lookups_refused_total{page="order"} 6.0' in metrics
        assert "homeward_lookups_alarmed_total 2.0" in metrics


async def test_a_shop_may_show_nothing_for_the_number_alone(sqlite_store: Store) -> None:
    """With `lookup.number_alone = false` a number without a proof is refused like an unknown one."""
    name = next(name for name, versions in shipped().items() if versions[-1].lookup.number_alone)
    closed = {
        shop: [terms.model_copy(update={"lookup": terms.lookup.model_copy(update={"number_alone": False})})]
        if shop == name
        else list(versions)
        for shop, versions in shipped().items()
        for terms in versions[-1:]
    }
    async with open_doors(make_house(sqlite_store, terms=closed)) as doors:
        await doors.put_order("B-1001")
        assert (await ask(doors, order_number="B-1001"))[0] == 404
        assert (await ask(doors, order_number="B-1001", **EMAIL))[0] == 200


# -------------------------------------------------------------------------------------------------------- the failures


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_number_is_locked_for_an_hour_and_then_twice_as_long() -> None:
    """Five failures lock it for an hour; each further one doubles that, up to a day; a day later all is forgotten."""
    clock = Seconds()
    failures = Failures(Limits(per_number=5, per_network=1000), clock)
    for _ in range(5):
        assert failures.allowed("order:b-1", "n", weak=False)
        failures.failed("order:b-1", "n")
    assert not failures.allowed("order:b-1", "n", weak=False)
    assert failures.allowed("order:b-2", "n", weak=False)
    clock.now += 3601
    assert failures.allowed("order:b-1", "n", weak=False)
    failures.failed("order:b-1", "n")
    clock.now += 3601
    assert not failures.allowed("order:b-1", "n", weak=False)
    clock.now += 3600
    assert failures.allowed("order:b-1", "n", weak=False)
    clock.now += 86_401
    failures.failed("order:b-1", "n")
    assert failures.allowed("order:b-1", "n", weak=False)


def test_a_networks_hour_is_over_an_hour_after_its_first_failure() -> None:
    clock = Seconds()
    failures = Failures(Limits(per_number=1000, per_network=3), clock)
    for n in range(3):
        failures.failed(str(n), "n")
        clock.now += 600
    assert not failures.allowed("x", "n", weak=False)
    clock.now += 1801
    assert failures.allowed("x", "n", weak=False)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_a_client_is_its_network(address: str, network: str) -> None:
    """An IPv6 customer has a whole /64: all of it counts as one."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, ["6.6.6.6"], "127.0.0.1"),
        (1, ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        (1, ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        (2, ["6.6.6.6, 203.0.113.7, 10.0.0.1"], "203.0.113.7"),
        (2, ["203.0.113.7"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
    ],
)
def test_only_our_own_proxies_are_believed(proxies: int, forwarded: list[str], expected: str) -> None:
    """What a client itself writes into X-Forwarded-For never counts."""
    from aiohttp.test_utils import make_mocked_request
    from multidict import CIMultiDict

    request = make_mocked_request("POST", "/", headers=CIMultiDict([("X-Forwarded-For", f) for f in forwarded]))
    request = request.clone(remote="127.0.0.1")
    assert network(request, proxies) == expected


# ----------------------------------------------------------------------------------------------------------- the words


def _spoken(forms: Any, form: str) -> set[str]:
    """What a form may say in words of its own: the singular may write "one" instead of {count}."""
    return {"count"} if len(forms) > 1 and form == forms[0] else set()


def test_every_key_that_can_be_said_has_its_words() -> None:
    """Sentences with exactly their arguments; states, statuses, reasons, steps and kinds without any."""
    words = catalogues()["en"].forms
    for key, args in SENTENCES.items():
        for form in words[key]:
            assert set(args) - _spoken(words[key], form) <= set(re.findall(r"\{(\w+)\}", form)) <= set(args), key
    from carriers.contract import Kind, Reason
    from returns.states import ReturnState
    from tracker.lifecycle import HomeReason, Leg, Purpose, Status
    from tracker.orders import OrderState

    needed = (
        [f"event.{kind}" for kind in Kind]
        + [f"reason.{reason}" for reason in (*Reason, *HomeReason)]
        + [f"status.{leg}.{status}" for leg in Leg for status in Status]
        + [f"purpose.{purpose}" for purpose in Purpose]
        + [f"state.{state}" for state in (*OrderState, *ReturnState, *Status)]
    )
    assert not [key for key in needed if key not in words]


def test_every_key_that_lookup_writes_is_known() -> None:
    """A key in tracker/lookup.py that no catalogue has would be shown as its last word."""
    import ast

    words = catalogues()["en"].forms
    tree = ast.parse((Path(__file__).parent.parent / "tracker" / "lookup.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    keys = {text for text in texts if re.fullmatch(r"(story|next|do|reason|event|state)\.[a-z_]+", text)}
    assert len(keys) > 20
    assert not {key for key in keys if key not in words}
    assert not {key for key in keys if key.split(".")[0] in ("story", "next", "do")} - set(SENTENCES)


def test_a_label_says_until_when_it_is_handed_over_in_time() -> None:
    """Where the carrier's acceptance decides: the earliest clock's last day in the shop's zone."""
    terms = shipped()["boutique-us"][-1]
    late, early = "2026-03-20T05:00:00Z", "2026-03-18T04:00:00Z"  # midnight in New York
    clocks = [{"ends": late, "judged_by": "acceptance"}, {"ends": early, "judged_by": "acceptance"}]
    about = {"clocks": [*clocks, {"ends": "2026-03-10T05:00:00Z", "judged_by": "registration"}, {"ends": None}]}
    assert _hand_over_by(about, terms, MONDAY) == date(2026, 3, 17)
    assert _hand_over_by(about, terms, MONDAY + timedelta(days=30)) is None
    assert _hand_over_by({"clocks": [{"ends": late, "judged_by": "registration"}]}, terms, MONDAY) is None
    assert _hand_over_by({}, terms, MONDAY) is None


def test_every_sentence_is_said_somewhere() -> None:
    """A sentence that five languages have and nobody says is a promise that was not kept."""
    root = Path(__file__).parent.parent
    files = [file for room in ("tracker", "api", "returns") for file in (root / room).rglob("*") if file.is_file()]
    code = "\n".join(file.read_text() for file in files if file.suffix in (".py", ".html"))
    built = {"next.refund", "next.refund_of", "next.store_credit", "next.store_credit_of"}  # next.{pot}_of
    table = 1  # once in the table of sentences itself
    assert not [
        key for key in SENTENCES if key not in built and code.count(f'"{key}"') + code.count(f"'{key}'") <= table
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.po")), ids=lambda path: path.stem)
def test_a_language_says_nothing_that_english_does_not(path: Any) -> None:
    """The same keys, all of them, with the same arguments, and a plural wherever English has one."""
    english, catalogue = catalogues()["en"].forms, read_catalogue(path)
    assert set(catalogue.forms) == set(english)
    for key, forms in catalogue.forms.items():
        assert len(forms) == len(english[key]), key
        for form in forms:
            wanted, found = (set(re.findall(r"\{(\w+)\}", text)) for text in (english[key][-1], form))
            assert wanted - _spoken(forms, form) <= found <= wanted, key


@pytest.mark.parametrize(("locale", "zero_is"), [("en", 1), ("it", 1), ("de", 1), ("es", 1), ("fr", 0)])
def test_each_language_counts_in_its_own_way(locale: str, zero_is: int) -> None:
    """One is singular everywhere; nothing is singular in French alone."""
    plural = catalogues()[locale].plural
    assert (plural(0), plural(1), plural(2)) == (zero_is, 0, 1)


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", "It should reach you between Wednesday, March 4 and Friday, March 6."),
        ("it", "Dovrebbe arrivare tra mercoledì 4 marzo e venerdì 6 marzo."),
        ("fr", "Il devrait arriver entre le mercredi 4 mars et le vendredi 6 mars."),
        ("de", "Es sollte zwischen Mittwoch, 4. März, und Freitag, 6. März, bei Ihnen sein."),
        ("es", "Debería llegarte entre el miércoles, 4 de marzo y el viernes, 6 de marzo."),
    ],
)
def test_dates_are_written_as_a_language_writes_them(locale: str, words: str) -> None:
    assert render("next.promised", locale, start=date(2026, 3, 4), end=date(2026, 3, 6)) == words


def test_numbers_are_written_as_a_language_writes_them() -> None:
    """A kilometre and a half has a comma wherever people write one."""
    assert render("places.distance", "en", km=Decimal("1.5")) == "1.5 km away"
    assert all("1,5 km" in render("places.distance", each, km=Decimal("1.5")) for each in ("it", "fr", "de", "es"))


def test_no_language_leaves_words_in_english() -> None:
    """Apart from a few words that are the same, no sentence is the English one."""
    english = catalogues()["en"].forms
    for name, catalogue in catalogues().items():
        same = [key for key, forms in catalogue.forms.items() if forms == english[key]]
        assert name == "en" or len(same) < 12, (name, same)


def test_a_missing_key_is_readable_and_a_number_chooses_its_form() -> None:
    assert render("state.never_heard_of") == "never heard of"
    assert render("story.attempts_left", count=1) == "The carrier will try 1 more time."
    assert render("story.attempts_left", count=2) == "The carrier will try 2 more times."


@pytest.mark.parametrize(
    "header", ["", "xx", "fr;q=nonsense", "*", "en-GB,en;q=0.5", ";;;", "a" * 5000, "en;q=0", ",".join(["de"] * 999)]
)
def test_any_accept_language_gives_a_language_that_we_have(header: str) -> None:
    assert choose(header) in catalogues()


def test_the_coarse_story_drops_the_detail_whatever_was_put_in() -> None:
    """Even if lookup forgot to: the door keeps only status and dates."""
    parcel = ParcelStory(
        "out", "in_transit", "order", (Message("story.in_transit"),), (AttemptStory(1, date(2026, 3, 3), "no_access"),),
        3, date(2026, 3, 5), ("09:00", "11:00"), (date(2026, 3, 4), date(2026, 3, 6)), "Amsterdam, NL", "1Z", "UPS",
        "https://www.ups.com/", (EventStory(datetime(2026, 3, 3, 12, tzinfo=UTC), "event.in_transit"),),
    )  # fmt: skip
    story = Follow(
        FollowKind.ORDER, "B-1", "boutique-eu", Tier.COARSE, "shipped", (), (parcel,), Message("next.moving")
    )
    (kept,) = coarse(story).parcels
    assert kept == ParcelStory(
        "out", "in_transit", "order", (), (), None, parcel.estimate, parcel.window, parcel.promised
    )
