"""The nouns of a call: a route as served and documented, the call that a handler gets, the answer it gives."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from api.house import House

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Nothing(BaseModel):
    """A call without a body, or without query parameters."""

    model_config = ConfigDict(extra="forbid")


Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)


class Caller(NamedTuple):
    """Whoever holds an API key. `name` is the caller in logs and in what is stored for them: never the key."""

    name: str
    scopes: frozenset[str]


class Call(NamedTuple, Generic[Q, B]):
    """One request, checked: path, query and body as documented, the caller known where a scope is needed.

    These three are tuples, for one is made for every request: a frozen dataclass takes four times as long.
    """

    house: House
    request: web.Request
    path: Mapping[str, str]
    query: Q
    body: B
    caller: Caller
    request_id: str
    locale: str


class Answer(NamedTuple):
    """What a handler gives back: a model, or bytes with their type.

    `still` is asked each time before a kept answer is given again: whether this request may have it.
    """

    body: BaseModel | bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})
    still: Callable[[web.Request], bool] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it is documented. Without a model: bytes of these types."""

    description: str
    model: type[BaseModel] | None = None
    types: tuple[str, ...] = ("application/json",)


@dataclass(frozen=True, slots=True)
class Route(Generic[Q, B]):
    """One address: what serves it and what the document says of it. `scope` "" is open to everybody.

    `errors` are the codes it can answer beside those that follow from its shape (scope, body, path, key).
    """

    name: str
    method: str
    path: str
    handler: Callable[[Call[Q, B]], Awaitable[Answer]]
    summary: str
    group: str
    answers: Mapping[int, Reply]
    query: type[Q]
    body: type[B]
    scope: str = ""
    errors: tuple[str, ...] = ()
    idempotent: bool = False
    kept: bool = False  # the same call again may be answered with the bytes of a moment ago (api/kept.py)
    raw: bool = False  # the body is bytes for somebody else to read (a carrier's push): no model is checked
    takes: str = "application/json"
    description: str = ""
    straight: Callable[[House, Handler], Handler] | None = None  # served past the making of a Call, where that costs

    @property
    def has_body(self) -> bool:
        return self.body is not Nothing or self.raw

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path, in their order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


AnyRoute = Route[Any, Any]
