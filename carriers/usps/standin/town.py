"""What USPS's stand-in asks of the town it works in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, str, str, Handler]  # method, path, operation, scope, handler
Posting = tuple[str, dict[str, str], bytes]  # url, headers, body


class Place(Protocol):
    @property
    def city(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def postal_code(self) -> str: ...
    @property
    def country(self) -> str: ...


class Scan(Protocol):
    @property
    def word(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def local(self) -> datetime: ...
    @property
    def place(self) -> Place: ...
    @property
    def order(self) -> int: ...
    @property
    def again(self) -> date | None: ...
    @property
    def keep(self) -> date | None: ...
    @property
    def echo(self) -> bool: ...
    @property
    def saying(self) -> tuple[str, ...]: ...


class Parcel(Protocol):
    @property
    def number(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def is_return(self) -> bool: ...
    @property
    def origin(self) -> Place: ...
    @property
    def destination(self) -> Place: ...
    @property
    def scheduled(self) -> date: ...
    @property
    def starts_at(self) -> datetime: ...


class Settings(Protocol):
    usps_client_id: str
    usps_client_secret: str
    usps_scopes: str
    usps_mid: str
    usps_listener_url: str
    usps_listener_secret: str
    token_seconds: float
    suspend_after: int
    usps_environment: str
    usps_reprint_until_mailing: bool


class Tokens(Protocol):
    def mint(self, owner: str, scope: str, seconds: float) -> str: ...
    def scope(self, value: str) -> str | None: ...
    def owner(self, value: str) -> str: ...
    def forget(self) -> None: ...


class Town(Protocol):
    @property
    def settings(self) -> Settings: ...
    def now(self) -> datetime: ...
    def seen(self, number: str) -> tuple[Parcel, Sequence[Scan]] | None: ...
    def ship(
        self,
        carrier: str,
        number: str,
        *,
        is_return: bool,
        origin: Mapping[str, str],
        destination: Mapping[str, str],
        references: tuple[str, ...],
        amount: str,
        currency: str,
        key: str = "",
        charged: bool = True,
    ) -> None: ...
    def void(self, carrier: str, number: str) -> None: ...
    def book(
        self, carrier: str, kind: str, number: str, *, reference: str = "", amount: str = "", currency: str = ""
    ) -> None: ...
    def draw(self, image_format: str, number: str, lines: Sequence[str], sideways: bool) -> bytes: ...
