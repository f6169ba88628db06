"""Comparing our books with the venue's: pure, so that every kind of difference can be tested.

The venue wins. What is found here is either mended by the caller or told to a person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.orders import Fill, Order, TradeStatus, VenueOrder, VenueTrade
from models.units import size_decimal, usd


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing the venue and our books disagree on."""

    kind: str
    """``missing_fill``, ``fill``, ``stranger``, ``missing_order``, ``ghost_order``, ``shares``,
    ``cash`` or ``overdue``."""
    subject: str
    ours: str
    venues: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: ours {self.ours}, venue {self.venues}"


def fill_differences(
    ours: Mapping[tuple[str, str], Fill],
    trades: Iterable[VenueTrade],
    known_orders: frozenset[str],
) -> list[Difference]:
    """Compare fills with the venue's trades, leg by leg.

    Parameters
    ----------
    ours
        Our fills by (trade id, order id).
    trades
        The venue's trades of the account over the same time.
    known_orders
        Ids of every order we ever sent; a leg of another order is a stranger's on our wallet.
    """
    found = []
    for trade in trades:
        for leg in trade.legs:
            subject = fill_subject(trade.trade_id, leg.order_id)
            venues = f"{trade.status} {size_decimal(leg.size_e6)} for ${usd(leg.cash_e6)}"
            fill = ours.get((trade.trade_id, leg.order_id))
            if leg.order_id not in known_orders:
                found.append(Difference("stranger", subject, "unknown order", venues))
            elif fill is None:
                if trade.status is not TradeStatus.FAILED:
                    found.append(Difference("missing_fill", subject, "nothing", venues))
            elif _differs(fill, leg.size_e6, leg.cash_e6, leg.fee_e6, trade.status):
                own = f"{fill.status} {size_decimal(fill.size_e6)} for ${usd(fill.cash_e6)}"
                found.append(Difference("fill", subject, own, venues))
    return found


def fill_subject(trade_id: str, order_id: str) -> str:
    """Name a fill for people."""
    return f"{trade_id}/{order_id[:18]}"


def _differs(fill: Fill, size_e6: int, cash_e6: int, fee_e6: int, status: TradeStatus) -> bool:
    if (fill.size_e6, fill.cash_e6, fill.fee_e6) != (size_e6, cash_e6, fee_e6):
        return True
    # A status that only lags on the way to CONFIRMED is not a difference; a FAILED one is.
    return (status is TradeStatus.FAILED) != (fill.status is TradeStatus.FAILED)


def order_differences(
    ours: Mapping[str, Order], venues: Mapping[str, VenueOrder]
) -> list[Difference]:
    """Compare orders we believe open with those the venue has open.

    `ours` holds our orders that are not terminal, and any terminal one the venue still lists.
    """
    found = []
    for order_id, order in ours.items():
        theirs = venues.get(order_id)
        if theirs is None:
            if not order.state.terminal:
                found.append(
                    Difference("ghost_order", order_id[:10], order.state.value, "not open")
                )
        elif order.state.terminal:
            found.append(Difference("missing_order", order_id[:10], order.state.value, "open"))
    for order_id in venues.keys() - ours.keys():
        found.append(Difference("missing_order", order_id[:10], "unknown", "open"))
    return found


def share_differences(ours: Mapping[str, int], venues: Mapping[str, int]) -> list[Difference]:
    """Compare holdings per token, in e6 shares."""
    return [
        Difference(
            "shares",
            f"token {token[:12]}",
            str(size_decimal(ours.get(token, 0))),
            str(size_decimal(venues.get(token, 0))),
        )
        for token in sorted(ours.keys() | venues.keys())
        if ours.get(token, 0) != venues.get(token, 0)
    ]


def cash_differences(expected_e6: int, venue_e6: int) -> list[Difference]:
    """Compare the account's cash with what our fills and settlements make it."""
    if expected_e6 == venue_e6:
        return []
    return [Difference("cash", "account", f"{expected_e6} e6", f"{venue_e6} e6")]


def persistent(first: Iterable[Difference], second: Iterable[Difference]) -> list[Difference]:
    """Keep what two looks in a row agree on; the rest was money in motion between the reads."""
    seen = set(first)
    return [difference for difference in second if difference in seen]
