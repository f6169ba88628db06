"""Orders and money at Polymarket, over its official SDK."""

from collections.abc import Sequence

from models.markets import Market
from models.orders import (
    CancelReport,
    OrderRequest,
    SignedOrder,
    SubmitAck,
    VenueOrder,
    VenueTrade,
)
from models.settings import Settings


class PolymarketVenue:
    """The port `Venue` for one agent, which has an API key of its own."""

    @classmethod
    async def connect(cls, settings: Settings, nonce: int, agent: str) -> "PolymarketVenue":
        """Open a client with the API key of `nonce`; it is derived, or created the first time."""
        raise NotImplementedError

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        raise NotImplementedError

    async def submit(self, order: SignedOrder) -> SubmitAck:
        raise NotImplementedError

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        raise NotImplementedError

    async def cancel_all(self) -> CancelReport:
        raise NotImplementedError

    async def order(self, order_id: str) -> VenueOrder | None:
        raise NotImplementedError

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        raise NotImplementedError

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        raise NotImplementedError

    async def cash_e6(self) -> int:
        raise NotImplementedError

    async def shares_e6(self, token_id: str) -> int:
        raise NotImplementedError

    async def heartbeat(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
