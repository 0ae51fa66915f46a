"""Facts about collections at the door and about returns without a printer, against scripted and simulated carriers."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from time import time as wall
from typing import Any

import pytest

from carriers.contract import (
    Abilities,
    Address,
    Away,
    Busy,
    CarrierError,
    Charge,
    PickupBooked,
    PickupRequest,
    PickupStage,
    PickupState,
    Refused,
)
from cli.wiring import open_carriers, street_environment
from fleet.budgets import Budget
from returns.collecting import Wanted, book, call_off, look, see_to
from returns.desk import cancel
from store.engine import Store
from store.pickups import forget_pickups, pickups_of
from street.app import open_street
from street.clock import StoryClock
from street.faults import Fault
from street.town import Settings, Town
from tests.doors import MONDAY, ORDER, Doors, make_house, open_doors
from tests.selling import Seller
from tests.test_returns_desk import HOME, Shop
from tracker.orders import Declined

DAY = date(2026, 3, 12)
WANTED = Wanted(DAY, time(9), time(17))


@dataclass
class Collector(Seller):
    """A seller that collects. `books` scripts the next answers; like UPS it gives one confirmation per address."""

    books: list[Any] = field(default_factory=list)
    cancels: list[CarrierError] = field(default_factory=list)
    wanted: list[PickupRequest] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    called_off: list[str] = field(default_factory=list)
    stage: PickupStage = PickupStage.BOOKED
    looked: int = 0

    async def book_pickup(self, wanted: PickupRequest) -> PickupBooked:
        self.wanted.append(wanted)
        end = self.books.pop(0) if self.books else "book"
        if end == "lose":
            self.made.setdefault(wanted.address.postal_code, f"PRN{len(self.made) + 1}")
            raise Away("read timeout")
        if isinstance(end, CarrierError):
            raise end
        confirmation = self.made.setdefault(wanted.address.postal_code, f"PRN{len(self.made) + 1}")
        return PickupBooked(confirmation, wanted.day, Charge(None, "not charged"))

    async def cancel_pickup(self, confirmation: str) -> None:
        if self.cancels:
            raise self.cancels.pop(0)
        self.called_off.append(confirmation)
        self.made = {place: one for place, one in self.made.items() if one != confirmation}

    async def pickup_state(self, confirmation: str) -> PickupState:
        self.looked += 1
        if self.away:
            raise Away("no answer")
        return PickupState(self.stage, "the driver is near")


@pytest.fixture
async def shop(store: Store) -> Shop:
    return await Shop(store, Collector()).order()


@pytest.fixture
async def here(sqlite_store: Store) -> Shop:
    return await Shop(sqlite_store, Collector()).order()


async def labelled(shop: Shop) -> str:
    return str((await shop.register()).view["return_number"])


async def refused(work: Any) -> Declined:
    with pytest.raises(Declined) as caught:
        await work
    return caught.value


# -------------------------------------------------------------------------------------------------------------- booked


async def test_policy_41_a_collection_is_booked_once_for_a_day(shop: Shop) -> None:
    """At the sender's address, paid by the label's number; asked again, and at once by many, it is the same one."""
    number = await labelled(shop)
    ends = await asyncio.gather(*(book(shop.till, shop.shelf, number, WANTED) for _ in range(4)))
    assert {end.status for end in ends} <= {201, 202}
    told = await book(shop.till, shop.shelf, number, WANTED)
    assert (told.status, told.view["state"], told.view["confirmation"]) == (201, "booked", "PRN1")
    [asked] = shop.seller.wanted
    assert (asked.address, asked.numbers, asked.day) == (HOME, (shop.seller.charges[0][1],), DAY)
    view = await shop.view(number)
    assert view["pickup"] == told.view and view["pickup"]["window"] == "09:00-17:00"
    rows = await shop.store.read(lambda tx: pickups_of(tx, 1))
    assert len(rows) == 1 and "Keizersgracht" not in repr([dict(row) for row in rows])


async def test_another_day_is_asked_for_after_the_first_is_called_off(here: Shop) -> None:
    """409 while one is booked; called off, another day is booked, and the same day once more too."""
    number, friday = await labelled(here), replace(WANTED, day=DAY + timedelta(days=1))
    await book(here.till, here.shelf, number, WANTED)
    error = await refused(book(here.till, here.shelf, number, friday))
    assert error.code == "pickup_booked" and "2026-03-12" in error.message
    for _ in range(2):
        told = await call_off(here.till, number)
        assert (told.status, told.view["state"]) == (200, "cancelled")
    assert here.seller.called_off == ["PRN1"]
    assert (await book(here.till, here.shelf, number, friday)).status == 201
    await call_off(here.till, number)
    assert (await book(here.till, here.shelf, number, WANTED)).view["day"] == "2026-03-12"
    assert (await look(here.till, number))["state"] == "booked"


async def test_a_booking_that_nobody_answered_is_made_again(shop: Shop) -> None:
    """202; the sweep asks again until it is known; the carrier holds one collection."""
    shop.seller.books = ["lose", Busy("quota", retry_after=5.0)]
    number = await labelled(shop)
    told = await book(shop.till, shop.shelf, number, WANTED)
    assert (told.status, told.view["state"]) == (202, "wanted")
    assert (await book(shop.till, shop.shelf, number, WANTED)).status == 202
    assert len(shop.seller.wanted) == 1 and await see_to(shop.till) == 0
    for wait in (31, 61):
        shop.real += wait
        assert await see_to(shop.till) == 1
    assert (await shop.view(number))["pickup"]["state"] == "booked"
    assert (len(shop.seller.made), len(shop.seller.wanted)) == (1, 3)


async def test_what_a_crash_leaves_is_booked_by_the_sweep(here: Shop) -> None:
    """Kept before the carrier is asked: after the lease somebody else asks."""

    async def dies(wanted: PickupRequest) -> PickupBooked:
        raise SystemExit

    number, whole = await labelled(here), here.till
    here.seller.book_pickup = dies
    with pytest.raises(SystemExit):
        await book(here.till, here.shelf, number, WANTED)
    del here.seller.book_pickup
    assert await see_to(whole) == 0
    here.real += 121
    assert await see_to(whole) == 1
    assert (await here.view(number))["pickup"]["state"] == "booked"


async def test_a_day_that_passed_is_booked_no_more(here: Shop) -> None:
    """The carrier stayed away until it was too late: it says so, and nobody is sent."""
    here.seller.books = [Away("down")]
    number = await labelled(here)
    await book(here.till, here.shelf, number, WANTED)
    here.at += timedelta(days=14)
    here.real += 14 * 86_400
    await see_to(here.till)
    assert (await here.view(number))["pickup"]["state"] == "not_done" and len(here.seller.wanted) == 1


async def test_what_the_carrier_does_not_collect_is_a_422_with_its_words(here: Shop) -> None:
    """Refused, unable, no label, a window that is none, yesterday: each says why, and nothing is booked."""
    number = await labelled(here)
    here.seller.books = [Refused("a phone number is needed")]
    error = await refused(book(here.till, here.shelf, number, WANTED))
    assert (error.code, error.message) == ("pickup_refused", "a phone number is needed")
    other = Address("A B", ("C 1",), "Utrecht", "3511", "NL", phone="311234567")
    assert (await book(here.till, here.shelf, number, replace(WANTED, address=other))).status == 201
    assert here.seller.wanted[-1].address == other
    for wrong, pointer in ((replace(WANTED, close=time(9)), "/close"), (replace(WANTED, day=date(2026, 2, 1)), "/day")):
        error = await refused(book(here.till, here.shelf, number, wrong))
        assert (error.code, error.pointer) == ("pickup_impossible", pointer)
    second = await labelled(here)
    here.seller.abilities = Abilities(pickup="bring it to a counter")
    assert (await refused(book(here.till, here.shelf, second, WANTED))).message == "bring it to a counter"
    assert (await refused(look(here.till, second))).code == "pickup_unknown"
    await cancel(here.till, second)
    here.seller.abilities = Abilities()
    assert (await refused(book(here.till, here.shelf, second, WANTED))).code == "return_under_way"


# ------------------------------------------------------------------------------------------------ looked at, called off


async def test_its_state_is_asked_for_once_in_a_quarter_of_an_hour(here: Shop) -> None:
    """Dispatched, done; a carrier that is away leaves what is known."""
    number = await labelled(here)
    await book(here.till, here.shelf, number, WANTED)
    here.seller.stage = PickupStage.DISPATCHED
    for _ in range(3):
        told = await look(here.till, number)
        assert (told["state"], told["words"]) == ("dispatched", "the driver is near")
    assert here.seller.looked == 1
    here.at += timedelta(minutes=16)
    here.seller.away = True
    assert (await look(here.till, number))["state"] == "dispatched"
    here.seller.away, here.seller.stage = False, PickupStage.DONE
    assert (await look(here.till, number))["state"] == "done"
    assert (await refused(call_off(here.till, number))).code == "pickup_over"


async def test_calling_off_is_settled_like_booking(here: Shop) -> None:
    """Unanswered: 202 and tried again; refused: it stays booked, with the carrier's words."""
    number = await labelled(here)
    await book(here.till, here.shelf, number, WANTED)
    here.seller.cancels = [Away("down")]
    assert ((await call_off(here.till, number)).status, (await call_off(here.till, number)).status) == (202, 202)
    here.real += 31
    await see_to(here.till)
    assert (await here.view(number))["pickup"]["state"] == "cancelled" and here.seller.called_off == ["PRN1"]
    second = await labelled(here)
    await book(here.till, here.shelf, second, WANTED)
    here.seller.cancels = [Refused("the driver is on his way")]
    error = await refused(call_off(here.till, second))
    assert (error.code, error.message) == ("pickup_over", "the driver is on his way")
    assert (await here.view(second))["pickup"]["state"] == "booked"


async def test_an_unknown_booking_that_is_called_off_leaves_nobody_coming(here: Shop) -> None:
    """It may be there without a number that we know: it is booked again for its number, and then called off."""
    here.seller.books = ["lose"]
    number = await labelled(here)
    await book(here.till, here.shelf, number, WANTED)
    assert (await call_off(here.till, number)).view["state"] == "cancelled"
    assert (here.seller.called_off, here.seller.made) == (["PRN1"], {})


async def test_an_erased_address_is_asked_about_no_more(here: Shop) -> None:
    """What was still wanted is not booked."""
    here.seller.books = [Away("down")]
    number = await labelled(here)
    await book(here.till, here.shelf, number, WANTED)
    assert await here.store.write(lambda tx: forget_pickups(tx, 1)) == 1
    here.real += 31
    await see_to(here.till)
    assert (await here.view(number))["pickup"]["state"] == "not_done" and len(here.seller.wanted) == 1


# ------------------------------------------------------------------------------------------ both carriers on the street

FRIDAY = MONDAY + timedelta(days=11)
US_ORDER = ORDER | {
    "currency": "USD",
    "email": "ann@example.com",
    "ship_to": {
        "name": "Ann Lee",
        "lines": ["10 Elm St"],
        "city": "Reno",
        "postal_code": "89501",
        "country": "US",
        "region": "NV",
        "phone": "7755550123",
    },
}


@pytest.fixture
async def town() -> Town:
    return Town(StoryClock.starting(FRIDAY), Settings())


@pytest.fixture
async def doors(sqlite_store: Store, town: Town) -> AsyncIterator[Doors]:
    async with open_street(town) as url:
        env = street_environment(url, "http://127.0.0.1:1")
        carriers = open_carriers(["ups", "usps"], env, {"ups": Budget({}), "usps": Budget({})})
        async with open_doors(make_house(sqlite_store, carriers, FRIDAY)) as doors:
            yield doors
        for carrier in carriers.values():
            await carrier.aclose()


async def european(doors: Doors, town: Town) -> str:
    await doors.put_order()
    await doors.ship("B-1001", town.create("ups", "delivered_first_time", starts_at=MONDAY).number)
    wish = {"sku": "COAT-42", "quantity": 1, "reason": "size"}
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": "B-1001", "items": [wish]}]}
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    assert status == 201, made
    return f"/v1/returns/{made['return_number']}"


async def american(doors: Doors, town: Town, **changes: Any) -> tuple[int, Any]:
    status, told, _ = await doors.call("PUT", "/v1/orders/boutique-us/A-1", json=US_ORDER | changes)
    assert status in (200, 201), told
    shipped = {"carrier": "usps", "tracking_number": "9400111206206406260787"}
    status, told, _ = await doors.call("POST", "/v1/orders/boutique-us/A-1/parcels", json=shipped)
    assert status in (200, 201), told
    wish = {"sku": "COAT-42", "quantity": 1, "reason": "defect", "outcome": "exchange"}
    asked = {"merchant": "boutique-us", "orders": [{"order_number": "A-1", "items": [wish]}], "qr": True}
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    return status, made


async def test_ups_collects_a_return_that_its_number_pays(doors: Doors, town: Town) -> None:
    """Booked through the doors, also while the street loses an answer; shown, looked at, called off."""
    path = await european(doors, town)
    town.faults.add(Fault("ups", "pickup", "500"))
    body = {"day": "2026-03-16", "ready": "09:00", "close": "17:00"}
    status, told, _ = await doors.call("POST", f"{path}/pickup", json=body, headers={"Idempotency-Key": "p"})
    assert (status, told["state"]) == (202, "wanted"), told
    till = replace(doors.house.till, real=lambda: wall() + 31)
    assert await see_to(till) == 1
    status, told, _ = await doors.call("GET", f"{path}/pickup")
    assert (status, told["state"], bool(told["confirmation"])) == (200, "booked", True)
    assert (await doors.call("GET", path))[1]["pickup"]["confirmation"] == told["confirmation"]
    status, told, _ = await doors.call("DELETE", f"{path}/pickup")
    assert (status, told["state"]) == (200, "cancelled")
    status, problem, _ = await doors.call("POST", f"{path}/pickup", json=body | {"close": "08:00"})
    assert (status, problem["code"], problem["pointer"]) == (422, "pickup_impossible", "/close")


async def test_usps_gives_a_code_finds_counters_and_collects(doors: Doors, town: Town) -> None:
    """No printer: the code and the PDF; the label says ZIP+4; the shopper sees counters near; collected for nothing."""
    status, made = await american(doors, town)
    assert (status, made["label"]["formats"]) == (201, ["pdf", "qr"]), made
    path = f"/v1/returns/{made['return_number']}"
    status, code, headers = await doors.call("GET", f"{path}/label?format=qr")
    assert (status, headers["Content-Type"]) == (200, "image/png") and code.startswith(b"\x89PNG")
    body = {"day": "2026-03-16", "ready": "09:00", "close": "17:00"}
    status, told, _ = await doors.call("POST", f"{path}/pickup", json=body)
    assert (status, told["state"], told["price"], told["currency"]) == (201, "booked", "0", "USD"), told
    assert (await doors.call("DELETE", f"{path}/pickup"))[1]["state"] == "cancelled"
    form = {"number": made["return_number"], "postcode": "89501", "email": ""}
    async with doors.client.post("/follow/return", data=form) as response:
        html = await response.text()
    assert response.status == 200 and "Where to hand it over near you" in html
    async with doors.client.get("/follow/return/label") as response:
        html = await response.text()
    assert "Show this code at the counter" in html and "Where to hand it over near you" in html


async def test_an_address_without_its_apartment_buys_nothing(doors: Doors, town: Town) -> None:
    """USPS knows the building and misses the apartment: 422 that points, with what to add."""
    lacking = US_ORDER["ship_to"] | {"lines": ["10 Elm Building"]}
    status, problem = await american(doors, town, ship_to=lacking)
    assert (status, problem["code"], problem["pointer"]) == (422, "address_unclear", "/from_address")
    assert "apartment" in problem["detail"]
    assert not [parcel for parcel in town.parcels.values() if parcel.is_return]


async def test_a_lost_label_through_the_doors(doors: Doors, town: Town) -> None:
    """The same one, then a waybill as JSON, as PDF and as a page; no second one; void; a stranger is a 404."""
    path = await european(doors, town)
    status, told, _ = await doors.call("POST", f"{path}/label/replace", json={})
    assert (status, told["label"]["state"]) == (200, "live")
    status, problem, _ = await doors.call("POST", f"{path}/label/replace", json={"compromised": True})
    assert (status, problem["code"], problem["term"]) == (422, "waybill_instead", "lost_label.answer")
    assert (await doors.call("GET", f"{path}/waybill"))[1]["code"] == "waybill_unknown"
    status, told, _ = await doors.call("POST", f"{path}/waybill")
    assert (status, told["account"], told["payer"], told["service"]) == (200, "W95789", "Receiver", "Standard")
    status, sheet, headers = await doors.call("GET", f"{path}/waybill", headers={"Accept-Language": "it"})
    assert (status, headers["Content-Type"], sheet[:5]) == (200, "application/pdf", b"%PDF-")
    assert (await doors.call("GET", f"{path}/waybill", headers={"Accept-Language": "it"}))[1] == sheet
    assert (await doors.call("GET", path))[1]["waybill"]["account"] == "W95789"
    form = {"number": path.rpartition("/")[2], "postcode": "1015 CJ", "email": ""}
    async with doors.client.post("/follow/return", data=form) as response:
        assert response.status == 200
    async with doors.client.get("/follow/return/waybill.pdf") as response:
        assert (response.content_type, (await response.read())[:5]) == ("application/pdf", b"%PDF-")
    async with doors.client.get("/follow/return/label") as response:
        [address, *_] = re.findall(r'href="(/label/[^"]+)"', await response.text())
    async with doors.client.get(address) as response:
        assert response.status == 200
    status, told, _ = await doors.call("POST", f"{path}/label/void")
    assert (status, told["state"]) == (200, "registered") and told["label"]["state"].startswith("void")
    async with doors.client.get(address) as response:  # nobody gets it from us any more
        assert response.status == 404
    status, told, _ = await doors.call("POST", f"{path}/label/replace", json={})
    assert (status, told["label"]["state"]) == (201, "live")
    status, problem, _ = await doors.call("POST", "/v1/returns/RNOTTHERE/label/replace", json={})
    assert (status, problem["code"]) == (404, "return_not_found")


async def test_ups_mails_its_own_label_where_the_terms_say_so(doors: Doors, town: Town) -> None:
    """`label.by = carrier_email`: an electronic return label at UPS, and its PDF is ours all the same."""
    terms = doors.house.terms["boutique-eu"][-1]
    mailing = terms.model_copy(update={"label": terms.label.model_copy(update={"by": "carrier_email"})})
    house = replace(doors.house, terms={"boutique-eu": [mailing]}, registry=type(doors.house.registry)())
    async with open_doors(house) as mailed:
        path = await european(mailed, town)
        status, label, _ = await mailed.call("GET", f"{path}/label")
    assert status == 200 and label.startswith(b"%PDF-")
    [sold] = [parcel for parcel in town.parcels.values() if parcel.is_return]
    assert sold.number in str((await doors.call("GET", path))[1]["label"])


async def test_policy_26_a_surcharge_through_the_doors(doors: Doors, town: Town) -> None:
    """201, then 200; another amount is a 409; a number that nobody paid for, too."""
    path = await european(doors, town)
    number = (await doors.call("GET", path))[1]["label"]["number"]
    body = {"name": "address_correction", "amount": "17.40", "currency": "EUR"}
    for expected in (201, 200):
        status, told, _ = await doors.call("POST", f"/v1/parcels/ups/{number}/surcharges", json=body)
        assert (status, told["amount"], told["name"]) == (expected, "17.40", "address_correction"), told
    other = body | {"amount": "9.00"}
    status, problem, _ = await doors.call("POST", f"/v1/parcels/ups/{number}/surcharges", json=other)
    assert (status, problem["code"]) == (409, "surcharge_differs")
    status, problem, _ = await doors.call("POST", "/v1/parcels/ups/1Z5338FF0107231059/surcharges", json=body)
    assert (status, problem["code"]) == (409, "nothing_billed")
