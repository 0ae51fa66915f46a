"""UPS's doors: tokens given and asked for, in both directions, and refusals as JSON."""

import time

import aiohttp
from aiohttp import BasicAuth, web

from carriers.ups.standin.answers import No, answer, errors
from carriers.ups.standin.town import Handler, Tokens, Town

TOKEN_SECONDS = 14399  # source: facts/ups.md 1


class Doors:
    """Who comes in, and how UPS shows itself at the doors of others."""

    def __init__(self, town: Town, tokens: Tokens) -> None:
        self.town, self.tokens = town, tokens
        self._shown: tuple[str, str, float] = (
            "",
            "",
            0.0,
        )  # token url, token, good until: what UPS shows to a listener

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            who = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            return errors("10400", "Authorization header is missing or malformed", 400)
        if form.get("grant_type") != "client_credentials":
            return errors("10400", "The grant type is missing or wrong", 400)
        settings = self.town.settings
        expected = (settings.ups_client_id or who.login, settings.ups_client_secret or who.password)
        if not who.login or not who.password or (who.login, who.password) != expected:
            return errors("10401", "The client id or its secret is invalid", 401)
        seconds = settings.token_seconds or TOKEN_SECONDS
        value = self.tokens.mint(who.login, "", seconds)
        return answer(
            {
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
                "client_id": who.login,
                "access_token": value,
                "scope": "",
                "expires_in": str(int(seconds)),
                "refresh_count": "0",
                "status": "approved",
            }
        )

    def guarded(self, product: str, handler: Handler) -> Handler:
        """A token first, then refusals as JSON.

        Source: facts/ups.md 1, 4.4: 250002 for absent and wrong tokens, and for a product that the app lacks.
        """

        async def guarded(request: web.Request) -> web.StreamResponse:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if self.tokens.scope(token) is None:
                code = "251004" if self.tokens.owner(token) else "250002"
                return errors(code, "Invalid Authentication Information.", 401)
            if product not in self.town.settings.ups_products.split():
                return errors("250002", "Invalid Authentication Information.", 401)
            try:
                return await handler(request)
            except No as no:
                return errors(no.code, str(no), no.status, **no.more)

        return guarded

    async def introduce(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """The headers by which a listener knows UPS: a token from the listener's own server and its client id.

        Source: facts/ups.md 6.2. Nothing where no such server is set. Raises ClientError when it gives none.
        """
        settings = self.town.settings
        url, client = settings.ups_webhook_token_url, settings.ups_webhook_client_id
        if not url:
            return {}
        known, token, until = self._shown
        if known != url or until <= time.monotonic():
            shown = {"Authorization": aiohttp.encode_basic_auth(client, settings.ups_webhook_client_secret)}
            async with session.post(url, data={"grant_type": "client_credentials"}, headers=shown) as given:
                given.raise_for_status()
                told = await given.json(content_type=None)
            token = str(told["access_token"])
            self._shown = (url, token, time.monotonic() + float(told.get("expires_in", 300)) * 0.9)
        return {"Authorization": f"Bearer {token}", "x-api-key": client}

    def forget_introduction(self) -> None:
        self._shown = ("", "", 0.0)
