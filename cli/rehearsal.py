"""A first start without carriers: a story clock that runs fast and a street with parcels already moving."""

import json
import time
from datetime import UTC, datetime, timedelta

import httpx

from api.keys import SCOPES, issue
from cli.settings import Settings
from cli.staging import Play, Stage
from cli.wiring import Parts
from fleet.clocks import Clock

SPEED = 60.0
"""An hour of the story in a minute."""

# Started so many days ago, so that every page has something to show at once.
_CAST = (
    (Play("ups", "delivered_first_time", "order", "plain"), 9),
    (Play("ups", "three_attempts_home", "order", "doubled"), 7),
    (Play("ups", "delivered_second_attempt", "order", "plain"), 4),
    (Play("ups", "access_point_collected", "order", "reordered"), 4),
    (Play("ups", "refused", "order", "plain"), 6),
    (Play("ups", "weather_delay", "order", "late"), 3),
    (Play("usps", "delivered_first_time", "order", "plain"), 9),
    (Play("usps", "unclaimed", "order", "plain"), 12),
    (Play("usps", "bad_address", "order", "plain"), 6),
    (Play("usps", "three_attempts_home", "order", "plain"), 7),
    (Play("ups", "return_delivered", "return", "plain"), 12),
    (Play("usps", "return_delivered", "return", "plain"), 6),
)


class Rehearsal:
    """The story of one data folder: its clock and its parcels, in `street.json`."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.data / "street.json"
        self._kept = json.loads(self._file.read_text()) if self._file.exists() else {}
        clock = settings.clock or self._kept.get("clock") or str(Clock(datetime.now(UTC), SPEED, time.time()))
        # whoever rehearses has a receiver on the same machine
        allowed = settings.allow_private or "localhost,127.0.0.1,::1"
        self.settings = settings.model_copy(update={"clock": clock, "budget": "off", "allow_private": allowed})

    async def play(self, parts: Parts, street: str) -> list[str]:
        """Put the cast on stage, or back on stage after a restart; lines that say what to look up."""
        if self._kept:
            async with httpx.AsyncClient(base_url=street, trust_env=False) as http:
                for parcel in self._kept["parcels"]:
                    keep = ("carrier", "number", "journey", "delivery", "purpose", "starts_at", "references")
                    await http.post("/street/parcels", json={name: parcel[name] for name in keep})
            kept: list[str] = self._kept["lines"]
            return kept
        at = parts.clock.now()
        key = await parts.store.write(lambda tx: issue(tx, parts.sealer, name="rehearsal", scopes=SCOPES, at=at))
        stage = Stage(parts.settings.url, key, street)
        lines = [
            "",
            "Parcels are moving. Look one up with its number, or with the e-mail ann@example.com for all of it:",
        ]
        try:
            for count, (play, days) in enumerate(_CAST):
                try:
                    staged = await stage.put_on(play, f"A-{1001 + count}", at - timedelta(days=days))
                except RuntimeError as error:  # the service itself is open all the same
                    lines.append(f"  {play.journey}: not on stage: {error}")
                    continue
                what = f"return {staged.return_number}" if staged.return_number else f"order {staged.order_number}"
                lines.append(f"  {what:<24} {play.carrier.upper():<5} {play.journey.replace('_', ' ')}")
        finally:
            await stage.aclose()
        self._kept = {"lines": lines}
        await self.remember(street)
        return lines

    async def remember(self, street: str) -> None:
        """Keep what is on the street, for the next start."""
        async with httpx.AsyncClient(base_url=street, trust_env=False) as http:
            parcels = (await http.get("/street/parcels")).json()["parcels"]
        kept = {"clock": self.settings.clock, "parcels": parcels, "lines": self._kept.get("lines", [])}
        self._file.write_text(json.dumps(kept, indent=1))
