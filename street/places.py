"""Where things are: the two warehouses, some customers, and the hubs on the way between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Place:
    """A town, a facility or nowhere (all fields empty), with the IANA zone whose clocks hang there."""

    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    zone: str = "UTC"
    street: str = ""
    name: str = ""

    @property
    def clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


NOWHERE = Place()

ROME, NEW_YORK, CHICAGO = "Europe/Rome", "America/New_York", "America/Chicago"

# source: product.md 1 (the warehouse in Italy); the American one and every customer are made up.
WAREHOUSES = {
    "ups": Place("Bentivoglio", "BO", "40010", "IT", ROME, "Interporto di Bologna, blocco 9.5", "Boutique Warehouse"),
    "usps": Place("Secaucus", "NJ", "07094", "US", NEW_YORK, "100 Enterprise Avenue", "Boutique Returns"),
}

CUSTOMERS = {
    "amsterdam": Place("Amsterdam", "", "1012LG", "NL", "Europe/Amsterdam", "Damrak 1", "A. de Vries"),
    "rotterdam": Place("Rotterdam", "", "3011AA", "NL", "Europe/Amsterdam", "Hoogstraat 10", "B. Jansen"),
    "berlin": Place("Berlin", "", "10115", "DE", "Europe/Berlin", "Chausseestrasse 5", "C. Schmidt"),
    "munich": Place("München", "", "80331", "DE", "Europe/Berlin", "Sendlinger Strasse 8", "D. Huber"),
    "paris": Place("Paris", "", "75002", "FR", "Europe/Paris", "12 rue de la Paix", "E. Martin"),
    "lyon": Place("Lyon", "", "69002", "FR", "Europe/Paris", "3 place Bellecour", "F. Petit"),
    "roma": Place("Roma", "RM", "00184", "IT", ROME, "Via Cavour 20", "G. Rossi"),
    "zurich": Place("Zürich", "ZH", "8001", "CH", "Europe/Zurich", "Bahnhofstrasse 4", "H. Keller"),
    "reno": Place("RENO", "NV", "89501", "US", "America/Los_Angeles", "10 Elm St", "Ann Lee"),
    "seattle": Place("SEATTLE", "WA", "98101", "US", "America/Los_Angeles", "200 Pike St", "Bob Hill"),
    "denver": Place("DENVER", "CO", "80202", "US", "America/Denver", "30 Wynkoop St", "Cat Moss"),
    "phoenix": Place("PHOENIX", "AZ", "85004", "US", "America/Phoenix", "5 Adams St", "Dan Reyes"),
    "chicago": Place("CHICAGO", "IL", "60601", "US", CHICAGO, "77 Lake St", "Eve Stone"),
    "miami": Place("MIAMI", "FL", "33101", "US", NEW_YORK, "9 Flagler St", "Flo Diaz"),
    "toronto": Place("TORONTO", "", "M5V2T6", "CA", "America/Toronto", "8 King St W", "Gus Roy"),
}

# Who gets a parcel when nobody says: the first six of each carrier's customers, in turn.
USUAL = {
    "ups": ("amsterdam", "berlin", "paris", "roma", "munich", "lyon", "rotterdam"),
    "usps": ("reno", "denver", "chicago", "miami", "seattle", "phoenix"),
}

_EUROPEAN_HUBS = {
    "IT": Place("Bologna", "BO", "", "IT", ROME),
    "NL": Place("Eindhoven", "", "", "NL", "Europe/Amsterdam"),
    "DE": Place("Herne", "", "", "DE", "Europe/Berlin"),
    "FR": Place("Chilly Mazarin", "", "", "FR", "Europe/Paris"),
    "CH": Place("Basel", "BS", "", "CH", "Europe/Zurich"),
}
_KOELN = Place("Koeln", "", "", "DE", "Europe/Berlin")
_MILANO = Place("Milano", "MI", "", "IT", ROME)

# source: facts/usps.md 3.3: facility events carry the facility's name where the city goes, and no state or ZIP.
_MEMPHIS = Place("MEMPHIS TN NETWORK DISTRIBUTION CENTER", "", "", "US", CHICAGO)

_ZONES_BY_COUNTRY = {
    "IT": ROME,
    "NL": "Europe/Amsterdam",
    "DE": "Europe/Berlin",
    "FR": "Europe/Paris",
    "CH": "Europe/Zurich",
    "ES": "Europe/Madrid",
    "BE": "Europe/Brussels",
    "AT": "Europe/Vienna",
    "GB": "Europe/London",
    "CA": "America/Toronto",
}
_STATES_BY_ZONE = {
    NEW_YORK: "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV",
    CHICAGO: "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    "America/Denver": "CO ID MT NM UT WY",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Phoenix": "AZ",
    "America/Anchorage": "AK",
    "Pacific/Honolulu": "HI",
    "America/Puerto_Rico": "PR VI",
    "Pacific/Guam": "GU MP",
}
_ZONES_BY_STATE = {state: zone for zone, states in _STATES_BY_ZONE.items() for state in states.split()}


def place(text: str | Mapping[str, str]) -> Place:
    """A place by its key (`amsterdam`, `warehouse-eu`) or from an address. Raises ValueError."""
    if isinstance(text, str):
        known = CUSTOMERS | {"warehouse-eu": WAREHOUSES["ups"], "warehouse-us": WAREHOUSES["usps"]}
        if text not in known:
            raise ValueError(f"unknown place {text!r}; known: {', '.join(sorted(known))}")
        return known[text]
    parts = {
        key: str(text.get(key, "") or "") for key in ("city", "region", "postal_code", "country", "street", "name")
    }
    if not parts["city"] or not parts["country"]:
        raise ValueError("a place needs a city and a country")
    return Place(**parts, zone=str(text.get("zone") or "") or _zone(parts["country"], parts["region"]))


def _zone(country: str, region: str) -> str:
    if country == "US":
        return _ZONES_BY_STATE.get(region, NEW_YORK)
    return _ZONES_BY_COUNTRY.get(country, "UTC")


def hubs(carrier: str, origin: Place, destination: Place) -> tuple[Place, Place, Place]:
    """The hub near the sender, one in the middle, and the one near the receiver."""
    if carrier == "usps":
        return _office(origin), _MEMPHIS, _office(destination)
    middle = _MILANO if origin.country == destination.country == "IT" else _KOELN
    return _EUROPEAN_HUBS.get(origin.country, _KOELN), middle, _EUROPEAN_HUBS.get(destination.country, _KOELN)


def _office(town: Place) -> Place:
    return Place(
        f"{town.city.upper()} {town.region or town.country} DISTRIBUTION CENTER", "", "", town.country, town.zone
    )
