"""Markets this process has met, for what a trade does not carry: its market's fee schedule."""

from collections.abc import Awaitable, Callable
from typing import Any

from models.errors import VenueUnknown
from models.markets import FeeSchedule, Market
from venue.polymarket.gamma import fee_from_clob

Fetch = Callable[[str], Awaitable[Any]]
"""Fetches ``/clob-markets/{condition_id}``; None where there is no such market."""


class NotListed(VenueUnknown):
    """The venue does not know the market, or no longer does."""


class Markets:
    """Fee schedules by condition id."""

    def __init__(self) -> None:
        self._fees: dict[str, FeeSchedule] = {}

    def remember(self, market: Market) -> None:
        self._fees[market.condition_id] = market.fee

    def fee(self, condition_id: str) -> FeeSchedule | None:
        return self._fees.get(condition_id)

    async def fee_or_fetch(self, condition_id: str, fetch: Fetch) -> FeeSchedule:
        """Fee schedule of a market, asked of the venue once if we never met the market.

        Raises
        ------
        NotListed
            The venue does not know the market.
        VenueUnknown
            The venue's answer cannot be read.
        """
        known = self._fees.get(condition_id)
        if known is not None:
            return known
        body = await fetch(condition_id)
        if body is None:
            raise NotListed(f"market {condition_id} is not listed at the venue")
        if not isinstance(body, dict):
            raise VenueUnknown(f"market {condition_id}: reply is not an object")
        fee = self._fees[condition_id] = fee_from_clob(body)
        return fee
