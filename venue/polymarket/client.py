"""Orders and money at Polymarket, over its official SDK."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from polymarket import AsyncSecureClient
from polymarket.errors import (
    OrderHeartbeatMismatchError,
    RequestRejectedError,
)
from polymarket.models import ApiKeyCreds

from engine.steady import STEADY, boot_ns
from models.errors import VenueError, VenueUnavailable, VenueUnknown
from models.markets import FeeSchedule, Market
from models.orders import (
    CancelReport,
    OrderRequest,
    OrderState,
    SignedOrder,
    SubmitAck,
    VenueOrder,
    VenueTrade,
)
from models.settings import Settings
from models.units import SECOND_NS
from venue.polymarket import environment as sdk
from venue.polymarket.acks import read_ack
from venue.polymarket.amounts import order_amounts
from venue.polymarket.endpoints import Endpoints, endpoints
from venue.polymarket.errors import Call
from venue.polymarket.orders import parse_order
from venue.polymarket.payload import from_payload, to_payload
from venue.polymarket.registry import Markets, NotListed
from venue.polymarket.session import Session
from venue.polymarket.trades import Party, read_wire, took, trade_of

log = structlog.get_logger(__name__)

CALL_TIMEOUT_S = 5.0
"""An answer later than this is no use to a trader; the order is asked about instead."""
CANCEL_BATCH = 100
"""The venue takes 1000, but refuses a batch whole that exceeds the signer's burst of 120."""


class PolymarketVenue:
    """The port `Venue` for one agent, which has an API key of its own.

    Cancel-all and heartbeats act on that key; money, open orders and trades belong to the
    wallet, so all agents of one wallet see them. Open one with `connect`.
    """

    def __init__(self, session: Session, agent: str) -> None:
        self._session = session
        self._limits = session.limits
        self._heartbeat_id = ""
        self._heartbeat_lock = asyncio.Lock()
        self._log = log.bind(agent=agent)
        self.agent = agent
        self.markets = Markets()
        self.on_accepted: Callable[[str], None] = lambda order_id: None
        self.held: Callable[[], str] = str
        """Why no order may be posted now, empty while they may; asked at the last moment, after
        the wait for a turn within the limits."""
        """Told the id of every order the venue took; the user channel expects to hear of it."""

    @classmethod
    async def connect(
        cls,
        settings: Settings,
        nonce: int,
        agent: str,
        *,
        where: Endpoints | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> "PolymarketVenue":
        """Open a client with the API key of `nonce`; it is derived, or created the first time.

        Raises
        ------
        ConfigError
            The SDK is not the one we know, or the wallet, its key or its address is refused.
        VenueUnavailable, VenueUnknown
            The venue does not answer; try again later.
        """
        where = where or endpoints(settings)
        return cls(await Session.open(settings, where, nonce, timeout_s), agent)

    async def close(self) -> None:
        await self._session.close()

    @property
    def calls(self) -> tuple[int, int]:
        """Questions put to the venue so far, and how many of them it could not answer."""
        return self._session.calls, self._session.failed

    @property
    def wallet(self) -> str:
        """Address that holds the funds."""
        return str(self._session.client.wallet)

    @property
    def credentials(self) -> ApiKeyCreds:
        """API key in use, for the user channel's first frame."""
        return self._session.client.credentials

    async def check_login(self) -> None:
        """Make sure that the API key is still good, and renew it where it is not."""
        await self._session.check_login()

    @property
    def party(self) -> Party:
        """Who we are in a trade."""
        return Party(wallet=self.wallet, api_key=self.credentials.key)

    # --- orders ---------------------------------------------------------------------------------

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        """Build and sign an order locally; its id is known afterwards, nothing is sent.

        Raises
        ------
        BadValue
            The request is off the market's grid or below its minimum.
        """
        maker_amount, taker_amount = order_amounts(request, market, STEADY.now_ns() / SECOND_NS)
        self.markets.remember(market)
        client = self._session.client
        draft = sdk.draft(
            client,
            token_id=request.token_id,
            side=request.side.value,
            order_type=request.tif.value,
            maker_amount=maker_amount,
            taker_amount=taker_amount,
            expires_s=request.expires_s,
            neg_risk=market.neg_risk,
        )
        order_id, signed = sdk.sign_draft(client, draft, request.post_only)
        return SignedOrder(order_id, request, maker_amount, taker_amount, to_payload(signed))

    async def submit(self, order: SignedOrder) -> SubmitAck:
        """Post a signed order; posting the same one again never makes a second one.

        Raises
        ------
        VenueRejected, VenueUnavailable
            It is not in the book.
        VenueUnknown
            It may be; ask by its id.
        """
        signed = from_payload(order.payload)

        async def post(client: AsyncSecureClient) -> Any:
            if held := self.held():
                raise VenueUnavailable(f"not sent, trading is suspended: {held}", "suspended")
            return await client.post_order(signed)

        reply = await self._session.call(Call.SUBMIT, post, self._limits.orders)
        ack = read_ack(order, reply)
        if ack.state is not OrderState.UNKNOWN:
            self.on_accepted(order.order_id)
        return ack

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        """Cancel orders in batches; what is refused comes with the venue's reason.

        When a batch fails, what the batches before it did is not reported; ask again, a cancel
        does no harm twice.
        """
        cancelled: list[str] = []
        refused: dict[str, str] = {}
        wanted = list(dict.fromkeys(order_ids))
        for start in range(0, len(wanted), CANCEL_BATCH):
            report = await self._cancel_batch(wanted[start : start + CANCEL_BATCH])
            cancelled += report.cancelled
            refused |= report.refused
        return CancelReport(tuple(cancelled), refused)

    async def _cancel_batch(self, order_ids: list[str]) -> CancelReport:
        reply = await self._session.call(
            Call.CANCEL,
            lambda client: client.cancel_orders(order_ids=order_ids),
            self._limits.cancels,
            len(order_ids),
        )
        return _report(reply)

    async def cancel_all(self) -> CancelReport:
        """Cancel every open order of this agent's API key."""
        reply = await self._session.call(
            Call.CANCEL, lambda client: client.cancel_all(), self._limits.cancel_all
        )
        self._limits.cancels.charge(1 + len(reply.canceled))
        return _report(reply)

    async def order(self, order_id: str) -> VenueOrder | None:
        """Look up one order. None: not open now (filled, cancelled, or never arrived)."""

        async def ask(client: AsyncSecureClient) -> Any:
            return await _unless_missing(sdk.private_get(client, f"/data/order/{order_id}"))

        row = await self._session.call(Call.READ, ask, self._limits.ledger)
        if row is None or row == {}:
            return None
        found = parse_order(row)
        if found.order_id.lower() != order_id.lower():
            raise VenueUnknown(f"asked about order {order_id}, was told about {found.order_id}")
        return found

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        """Open orders of the wallet, also of other agents, in one market or in all."""
        params = {"market": condition_id} if condition_id else {}
        return [parse_order(row) async for row in self._session.rows("/data/orders", params)]

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        """List trades of this account, oldest first; legs of other agents' orders included.

        Of all markets together, a trade is left out if its fee can't be known because we never
        met its market and the venue no longer lists it: it must not keep the others from being
        read. Whoever waits for the trades of an order asks for its market, and is told.

        Raises
        ------
        NotListed
            That one market was asked for.
        """
        params: dict[str, str] = {}
        if condition_id:
            params["market"] = condition_id
        if after_s is not None:
            params["after"] = str(after_s)
        found: dict[str, VenueTrade] = {}
        async for row in self._session.rows("/data/trades", params):
            wire = read_wire(row)
            try:
                fee = await self.fee(wire.market) if took(wire, self.party) else FeeSchedule()
            except NotListed as error:
                if condition_id is not None:
                    raise
                self._log.warning("trade_left_out", trade=wire.id, reason=str(error))
                continue
            trade = trade_of(wire, self.party, fee)
            known = found.get(trade.trade_id)
            if trade.legs and (known is None or known.status.rank <= trade.status.rank):
                found[trade.trade_id] = trade
        return sorted(found.values(), key=lambda trade: (trade.matched_ns, trade.trade_id))

    async def fee(self, condition_id: str) -> FeeSchedule:
        """Fee schedule of a market, asked of the venue when we never met it."""

        async def fetch(wanted: str) -> Any:
            async def ask(client: AsyncSecureClient) -> Any:
                return await _unless_missing(sdk.public_get(client, f"/clob-markets/{wanted}"))

            return await self._session.call(Call.READ, ask, self._limits.ledger)

        return await self.markets.fee_or_fetch(condition_id, fetch)

    # --- money ----------------------------------------------------------------------------------

    async def cash_e6(self) -> int:
        """Collateral of the whole account at the venue, open orders not deducted."""
        return await self._balance("COLLATERAL", None)

    async def shares_e6(self, token_id: str) -> int:
        """Shares of one token held by the whole account, open orders not deducted."""
        kind = "CONDITIONAL-V2" if sdk.protocol_version(token_id) == "3" else "CONDITIONAL"
        return await self._balance(kind, token_id)

    async def _balance(self, asset_type: Any, token_id: str | None) -> int:
        """Read a balance after telling the venue to look at the chain again.

        The venue answers from a cache that it refreshes when asked; a refresh that fails leaves
        what it has.
        """
        params: dict[str, Any] = {
            "asset_type": asset_type,
            "signature_type": sdk.signature_type(self._session.client),
        }
        if token_id is not None:
            params["token_id"] = token_id
        try:
            await self._session.call(
                Call.READ,
                lambda client: sdk.private_poke(client, "/balance-allowance/update", params),
                self._limits.refreshes,
            )
        except VenueError as error:
            self._log.info("balance_refresh_failed", reason=str(error))
        reply = await self._session.call(
            Call.READ,
            lambda client: client.get_balance_allowance(asset_type=asset_type, token_id=token_id),
            self._limits.balances,
        )
        return int(reply.balance)

    # --- life -----------------------------------------------------------------------------------

    async def server_time_ns(self) -> int:
        """Ask the venue for its time, UTC; right to a second and the answer's way.

        The venue tells whole seconds: the middle of the second is what is returned, as it was
        when half of the call had passed, and carried on to its end.
        """
        began_ns = boot_ns()
        told = await self._session.call(
            Call.READ, lambda client: sdk.public_get(client, "/time"), self._limits.ledger
        )
        return int(told) * SECOND_NS + SECOND_NS // 2 + (boot_ns() - began_ns) // 2

    async def heartbeat(self) -> None:
        """Tell the venue we live. It cancels this key's orders after about 10 s of silence.

        A heartbeat names its predecessor; after a restart, or when a reply was lost, the venue
        says which it expects and is told that one at once.
        """
        async with self._heartbeat_lock:
            reply = await self._session.call(Call.READ, self._beat, self._limits.heartbeats)
            self._heartbeat_id = str(reply.heartbeat_id)

    async def _beat(self, client: AsyncSecureClient) -> Any:
        try:
            return await client.send_order_heartbeat(heartbeat_id=self._heartbeat_id)
        except OrderHeartbeatMismatchError as error:
            self._heartbeat_id = error.heartbeat_id
        except RequestRejectedError as error:
            if error.status != 400 or "heartbeat" not in str(error).lower():
                raise
            self._heartbeat_id = ""
        return await client.send_order_heartbeat(heartbeat_id=self._heartbeat_id)


async def _unless_missing(reply: Awaitable[Any]) -> Any:
    """The reply; None where the venue answers that there is no such thing."""
    try:
        return await reply
    except RequestRejectedError as error:
        if error.status == 404:
            return None
        raise


def _report(reply: Any) -> CancelReport:
    return CancelReport(
        tuple(str(order_id) for order_id in reply.canceled),
        {str(order_id): reason for order_id, reason in reply.not_canceled.items()},
    )
