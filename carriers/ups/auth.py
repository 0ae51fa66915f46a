"""Gets a UPS token for client credentials; does not know what it is for."""

import time

import aiohttp
import httpx
import msgspec
from pydantic import SecretStr

from carriers.contract import Away, Refused
from carriers.door import Token
from carriers.ups.faults import fault

PATH = "/security/v1/oauth/token"  # not under /api  # source: facts/ups.md 0
# A token lives about four hours; a new one is fetched well before that.  # source: facts/ups.md 1
EARLY_SECONDS = 600.0


class _Answer(msgspec.Struct):
    """Every value is documented as a text, numbers too."""

    access_token: str
    expires_in: str | int | float


class Credentials:
    """A client id and its secret, and the fetch that TokenKeeper calls."""

    def __init__(self, http: httpx.AsyncClient, client_id: str, client_secret: SecretStr) -> None:
        self._http, self._client_id, self._secret = http, client_id, client_secret

    async def fetch(self) -> Token:
        """A new token. Raises Refused (credentials), Busy, Away."""
        asked_at = time.monotonic()
        try:
            response = await self._http.post(
                PATH,
                data={"grant_type": "client_credentials"},
                auth=httpx.BasicAuth(self._client_id, self._secret.get_secret_value()),
            )
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise Away(f"no token from UPS: {type(error).__name__}") from error
        if problem := fault(response):
            raise Refused(f"no token: {problem}", code=problem.code) if response.status_code == 404 else problem
        return _token(response.content, asked_at)


def _token(body: bytes, asked_at: float) -> Token:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        seconds = float(answer.expires_in)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Away("UPS answered the token call with something that is no token") from error
    # Never later than three quarters of its life, so that a short one is renewed early too.
    return Token(answer.access_token, asked_at + max(seconds - EARLY_SECONDS, seconds * 0.75))
