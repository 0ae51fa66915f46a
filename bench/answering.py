"""Both carriers' token and tracking calls for a bench, in a process of their own: every answer takes 200 ms.

Answers are put together from prepared pieces, so that this process costs little beside the one that is measured. A
parcel has eight events at first; at each round every third one has moved on by one. `python -m bench.answering` prints
its base URL and serves until its input ends.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web

LATENCY = 0.2
FIRST, MOST = 8, 24
START = datetime(2026, 3, 2, 7, tzinfo=UTC)
UPS_WORDS = (
    ("M", "MP", "003", "Shipper created a label, UPS has not received the package yet. "),
    ("I", "OR", "005", "Origin Scan"), ("I", "DP", "005", "Departed from Facility"),
    ("I", "AR", "005", "Arrived at Facility"), ("I", "YP", "071", "Processing at UPS Facility"),
)  # fmt: skip
USPS_WORDS = (
    ("GX", "Shipping Label Created, USPS Awaiting Item"), ("03", "USPS picked up item"),
    ("10", "Processed Through Facility"), ("T1", "Departed USPS Regional Facility"),
    ("L1", "Arrived at USPS Regional Facility"),
)  # fmt: skip
CITIES = (("AMSTERDAM", "NL"), ("UTRECHT", "NL"), ("KOELN", "DE"), ("MILANO", "IT"), ("BOLOGNA", "IT"))
STATES = (("SECAUCUS", "NJ", "07094"), ("NEWARK", "NJ", "07102"), ("OMAHA", "NE", "68102"), ("RENO", "NV", "89501"))


def ups_number(index: int) -> str:
    return f"1Z5338FF01{index:08d}"


def usps_number(index: int) -> str:
    return f"94001112062064{index:08d}"


def so_far(index: int, turn: int) -> int:
    """How many events a parcel has: every third one moves at each turn, which is what some twelve scans in a life of
    some thirty-five polls come to.
    """
    return min(FIRST + (turn + index % 3) // 3, MOST)


@cache
def _ups_scans(index: int) -> list[str]:
    """Every scan a parcel will have, newest first.  # source: facts/ups.md 4.6"""
    made = []
    for step in range(MOST):
        at = START + timedelta(hours=3 * step, seconds=index)
        local = at + timedelta(hours=1)
        kind, code, status, words = UPS_WORDS[min(step, 1 + (step + index) % 4)]
        city, country = CITIES[(step + index) % len(CITIES)]
        address = {"city": city, "countryCode": country, "country": country}
        scan = {
            "location": {"address": address, "slic": "1234"},
            "status": {"type": kind, "description": words, "code": code, "statusCode": status},
            "date": f"{local:%Y%m%d}", "time": f"{local:%H%M%S}", "gmtDate": f"{at:%Y%m%d}",
            "gmtOffset": "+01:00", "gmtTime": f"{at:%H:%M:%S}",
        }  # fmt: skip
        made.append(json.dumps(scan))
    return made[::-1]


def ups_answer(index: int, turn: int) -> str:
    number = ups_number(index)
    package: dict[str, Any] = {
        "trackingNumber": number, "currentStatus": {"description": "In transit", "code": "005"},
        "deliveryDate": [{"type": "SDD", "date": "20260309"}], "deliveryTime": {"type": "EOD"}, "packageCount": 1,
        "referenceNumber": [{"type": "SHIPMENT", "number": f"R{index:026d}"}],
        "service": {"code": "011", "description": "UPS Standard"},
    }  # fmt: skip
    scans = ",".join(_ups_scans(index)[-so_far(index, turn) :])
    whole = json.dumps(package)[:-1] + f', "activity": [{scans}]}}'
    return f'{{"trackResponse":{{"shipment":[{{"inquiryNumber":"{number}","package":[{whole}]}}]}}}}'


@cache
def _usps_scans(index: int) -> list[str]:
    """Every scan a parcel will have, newest first.  # source: facts/usps.md 3.2"""
    made = []
    for step in range(MOST):
        at = START + timedelta(hours=3 * step, seconds=index)
        local = at - timedelta(hours=5)
        code, words = USPS_WORDS[min(step, 1 + (step + index) % 4)]
        city, state, zip_code = STATES[(step + index) % len(STATES)]
        scan = {
            "eventCode": code, "eventType": words, "eventTimestamp": f"{local:%Y-%m-%dT%H:%M:%S}-05:00",
            "GMTTimestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "GMTOffset": "-05:00", "eventCity": city,
            "eventState": state, "eventZIPCode": zip_code, "eventCountry": None,
        }  # fmt: skip
        made.append(json.dumps(scan))
    return made[::-1]


def usps_answer(index: int, turn: int) -> str:
    item = {
        "trackingNumber": usps_number(index), "mailClass": "USPS Ground Advantage<SUP>&#153;</SUP>",
        "mailingDate": "2026-03-02", "originCity": "SECAUCUS", "originState": "NJ", "originZIPCode": "07094",
        "destinationCity": "RENO", "destinationState": "NV", "destinationZIPCode": "89501", "serviceTypeCode": "020",
        "status": "In Transit to Next Facility", "statusCategory": "In Transit",
        "statusSummary": "Your item is moving within the USPS network.", "uniqueTrackingID": f"7{index:06d}",
        "deliveryDateExpectation": {"expectedDeliveryDate": "2026-03-09"},
    }  # fmt: skip
    scans = ",".join(_usps_scans(index)[-so_far(index, turn) :])
    return json.dumps(item)[:-1] + f', "trackingEvents": [{scans}]}}'


class Answering:
    """The calls; `turn` is the round that the answers are of."""

    def __init__(self) -> None:
        self.turn = 0

    async def ups_token(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "expires_in": "14399", "token_type": "Bearer"})

    async def usps_token(self, request: web.Request) -> web.Response:
        token = {"access_token": "t", "expires_in": 28799, "token_type": "Bearer", "scope": "tracking"}
        return web.json_response(token | {"status": "approved"})

    async def ups(self, request: web.Request) -> web.Response:
        await asyncio.sleep(LATENCY)
        body = ups_answer(int(request.match_info["number"][-8:]), self.turn)
        return web.Response(text=body, content_type="application/json")

    async def usps(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        await asyncio.sleep(LATENCY)
        items = ",".join(usps_answer(int(each["trackingNumber"][-8:]), self.turn) for each in asked)
        return web.Response(text=f"[{items}]", content_type="application/json")

    async def next(self, request: web.Request) -> web.Response:
        self.turn += 1
        return web.json_response({"turn": self.turn})


async def main() -> None:
    """Serve until standard input ends: then whoever asked is gone."""
    answering, app = Answering(), web.Application()
    app.router.add_post("/ups/security/v1/oauth/token", answering.ups_token)
    app.router.add_get("/ups/api/track/v1/details/{number}", answering.ups)
    app.router.add_post("/usps/oauth2/v3/token", answering.usps_token)
    app.router.add_post("/usps/tracking/v3r2/tracking", answering.usps)
    app.router.add_post("/next", answering.next)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
