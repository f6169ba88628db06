"""One agent's authenticated line to the CLOB: every call within limits, time and a valid key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from polymarket import AsyncSecureClient
from polymarket.errors import PolymarketError, RequestRejectedError
from polymarket.models import ApiKeyCreds
from pydantic import SecretStr

from models.errors import BadValue, ConfigError, FloorError, VenueUnavailable, VenueUnknown
from models.settings import Settings
from venue.polymarket import environment as sdk
from venue.polymarket.credentials import Credentials
from venue.polymarket.endpoints import Endpoints
from venue.polymarket.errors import Call, decide, never_arrived
from venue.polymarket.limits import Limits, TokenBucket
from venue.wallet import signing_key

log = structlog.get_logger(__name__)

Ask = Callable[[AsyncSecureClient], Awaitable[Any]]
END_CURSOR = "LTE="
MOST_PAGES = 500
LOGIN_WAIT_S = 5.0


ANNOUNCED = frozenset({"restarting", "post_only", "cancel_only"})
"""Modes of the venue that are waited out; they say nothing bad about its health or our line."""


class Session:
    """SDK client and credentials of one API key. Open one with `open`."""

    def __init__(
        self,
        client: AsyncSecureClient,
        credentials: Credentials,
        private_key: SecretStr,
        where: Endpoints,
        limits: Limits,
        timeout_s: float,
    ) -> None:
        self.client = client
        self.limits = limits
        self.where = where
        self._credentials = credentials
        self._private_key = private_key
        self._timeout_s = timeout_s
        self._retired: list[AsyncSecureClient] = []
        self._login_lock = asyncio.Lock()
        self.calls = 0
        """Questions put to the venue so far."""
        self.failed = 0
        """Those it could not answer: time-outs, its own errors, doors closed without a word. A
        refusal with a reason is an answer, and so is the mode the venue says it is in. What found
        no way to the venue was no question: its absence is waited out."""

    @classmethod
    async def open(
        cls, settings: Settings, where: Endpoints, nonce: int, timeout_s: float
    ) -> "Session":
        """Open a client with the API key of `nonce` and make sure that the venue accepts it.

        Raises
        ------
        ConfigError
            The SDK is not the one we know, or the wallet, its key or its address is refused.
        VenueUnavailable, VenueUnknown
            The venue does not answer; try again later.
        """
        sdk.check_sdk()
        private_key = signing_key(settings)
        credentials = Credentials(settings, where, private_key, nonce)
        wallet = credentials.address if settings.simulated else settings.polymarket_wallet
        limits = Limits()
        creds = credentials.kept() or await credentials.fetch()
        client = await _open(private_key, wallet, where, creds, limits)
        session = cls(client, credentials, private_key, where, limits, timeout_s)
        try:
            await session.check_login()
        except BaseException:
            await session.close()
            raise
        return session

    async def close(self) -> None:
        for client in (self.client, *self._retired):
            await client.close()

    async def call(self, call: Call, ask: Ask, bucket: TokenBucket, cost: float = 1.0) -> Any:
        """Run one SDK call; a refused key is replaced and the call repeated, once.

        Raises
        ------
        VenueRejected, VenueUnavailable, VenueUnknown
            See `venue.polymarket.errors.decide`.
        """
        client = self.client
        try:
            return await self._attempt(call, ask, client, bucket, cost)
        except _KeyRefused as refused:
            try:
                renewed = await self._login_again(client)
            except FloorError as error:
                raise VenueUnavailable(
                    f"{call}: the API key was refused and cannot be renewed: {error}",
                    "disabled",
                    LOGIN_WAIT_S,
                ) from None
            if not renewed:
                raise decide(refused.error, call) from None
        try:
            return await self._attempt(call, ask, self.client, bucket, cost)
        except _KeyRefused as refused:
            raise decide(refused.error, call) from None

    async def rows(self, path: str, params: dict[str, str]) -> AsyncIterator[Any]:
        """Yield all rows of a paged private listing.

        Raises
        ------
        VenueUnavailable, VenueUnknown
            A page did not come or cannot be read; rows yielded before are not the whole list.
        """
        cursor = ""
        for _ in range(MOST_PAGES):
            query = params | ({"next_cursor": cursor} if cursor else {})
            page = await self.call(Call.READ, _getter(path, query), self.limits.ledger)
            if not isinstance(page, dict) or not isinstance(page.get("data"), list):
                raise VenueUnknown(f"{path}: the reply is not a page")
            for row in page["data"]:
                yield row
            following = str(page.get("next_cursor") or END_CURSOR)
            if following in (END_CURSOR, cursor):
                return
            cursor = following
        raise VenueUnknown(f"{path}: more than {MOST_PAGES} pages; narrow the question")

    async def _attempt(
        self, call: Call, ask: Ask, client: AsyncSecureClient, bucket: TokenBucket, cost: float
    ) -> Any:
        self.calls += 1
        try:
            async with self.limits.spend(bucket, cost), _translated(call):
                async with asyncio.timeout(self._timeout_s):
                    return await ask(client)
        except (VenueUnavailable, VenueUnknown) as error:
            told = isinstance(error, VenueUnavailable) and error.mode in ANNOUNCED
            self.failed += not (told or never_arrived(error))
            raise

    async def check_login(self) -> None:
        """Make sure that the kept key still works, and replace it where it does not."""
        keys = await self.call(
            Call.READ, lambda client: client.fetch_api_keys(), self.limits.balances
        )
        if self.client.credentials.key not in keys:
            await self._login_again(self.client)

    async def _login_again(self, refused: AsyncSecureClient) -> bool:
        """Derive the key anew and use it; False when that gives the very key that was refused."""
        async with self._login_lock:
            if self.client is not refused:
                return True
            log.warning("api_key_refused", address=self._credentials.address)
            creds = await self._credentials.fetch()
            if creds.key == refused.credentials.key:
                return False
            self.client = await _open(
                self._private_key, str(refused.wallet), self.where, creds, self.limits
            )
            # Calls may still be under way on the old one; it is closed with the session.
            self._retired.append(refused)
            return True


class _KeyRefused(Exception):
    """Inside only: the venue answered 401, so nothing happened."""

    def __init__(self, error: RequestRejectedError) -> None:
        super().__init__("api key refused")
        self.error = error


@asynccontextmanager
async def _translated(call: Call) -> AsyncIterator[None]:
    try:
        yield
    except RequestRejectedError as error:
        if error.status == 401:
            raise _KeyRefused(error) from None
        raise decide(error, call) from error
    except (PolymarketError, TimeoutError) as error:
        raise decide(error, call) from error


def _getter(path: str, query: dict[str, str]) -> Ask:
    return lambda client: sdk.private_get(client, path, query)


async def _open(
    private_key: SecretStr,
    wallet: str | None,
    where: Endpoints,
    creds: ApiKeyCreds,
    limits: Limits,
) -> AsyncSecureClient:
    try:
        return await sdk.open_client(
            private_key=private_key.get_secret_value(),
            wallet=wallet,
            where=where,
            credentials=creds,
            on_rate_limit=limits.heard,
        )
    except PolymarketError as error:
        translated = decide(error, Call.READ)
        if isinstance(translated, BadValue):
            raise ConfigError(
                f"wallet {wallet or 'of the signing key'} cannot be used: {error}; "
                "check POLYMARKET_WALLET"
            ) from None
        raise translated from None
