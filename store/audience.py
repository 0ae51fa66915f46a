"""Which alerts somebody hears: from a severity on, of some shops, some carriers; for channels and webhooks alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Audience:
    """Alerts from this severity on; empty shops or carriers: all of them.

    What is about no shop (a carrier is away, a sweep failed) is heard by those of every shop, and likewise.
    """

    severity: str = SEVERITIES[0]
    merchants: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()

    def hears(self, severity: str, merchant: str, carrier: str) -> bool:
        """Whether an alert of this severity, shop and carrier is for them."""
        grave = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
        return (
            grave >= SEVERITIES.index(self.severity)
            and (not self.merchants or not merchant or merchant in self.merchants)
            and (not self.carriers or not carrier or carrier in self.carriers)
        )

    def hears_notice(self, data: Mapping[str, Any]) -> bool:
        """The same of what an `alert.*` notice says."""
        alert = data.get("alert") or {}
        return self.hears(str(alert.get("severity")), str(data.get("merchant") or ""), str(data.get("carrier") or ""))


EVERYTHING = Audience()


def read_audience(text: str) -> Audience:
    """From the JSON of a row."""
    return msgspec.json.decode(text, type=Audience)
