"""From a target position to what must be cancelled, sold and bought. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.markets import Market, Outcome, Side
from models.orders import Order
from models.units import PRICE_ONE
from risk.sizing import whole_e6
from strategies.base import Place, Target


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """Cancel first and plan again; then the sales in order; the purchase once all of them went."""

    cancels: tuple[str, ...] = ()
    sales: tuple[Place, ...] = ()
    purchase: Place | None = None
    waits: str = ""
    """Why the purchase has to wait although it is needed."""


@dataclass(frozen=True, slots=True)
class Held:
    """Shares of one outcome, in e6: all of them, and those that are free to sell."""

    shares_e6: int
    free_e6: int


def fault_of(target: Target, market: Market) -> str:
    """Return what is wrong with a target itself, or an empty text; `Place` shows the rest."""
    if not isinstance(target.outcome, Outcome):
        return f"outcome={target.outcome!r}: use Outcome"
    for name in ("shares_e6", "tolerance_e6"):
        value = getattr(target, name)
        if type(value) is not int or value < 0:
            return f"{name}={value!r} must be a whole number of at least 0"
    price, tick = target.price_e4, market.tick_e4
    if price is not None and (
        type(price) is not int or not tick <= price <= PRICE_ONE - tick or price % tick
    ):
        return f"price_e4={price!r} must be a multiple of {tick} up to {PRICE_ONE - tick}"
    return ""


def plan(
    target: Target, open_orders: Iterable[Order], held: Held, complement: Held, market: Market
) -> TargetPlan:
    """Compare a target with what is held and open.

    Parameters
    ----------
    held, complement
        Of the target's outcome and of the other one.
    """
    orders = tuple(open_orders)
    missing = target.shares_e6 - held.shares_e6
    if target.shares_e6 and abs(missing) <= target.tolerance_e6:
        missing = 0
    buys = _Kept(orders, target.outcome, Side.BUY, max(0, missing), _price(target, True))
    sells = _Kept(orders, target.outcome, Side.SELL, max(0, -missing), _price(target, True))
    wrong = _Kept(orders, target.outcome.other, Side.BUY, 0, None)
    other = complement.shares_e6
    leaving = _Kept(orders, target.outcome.other, Side.SELL, other, _price(target, False))
    cancels = buys.cancels + sells.cancels + wrong.cancels + leaving.cancels
    if cancels:
        return TargetPlan(cancels)
    sales: list[Place] = []
    for outcome, excess, free, kept in (
        (target.outcome, max(0, -missing), held.free_e6, sells),
        (target.outcome.other, other, complement.free_e6, leaving),
    ):
        size = whole_e6(min(excess - kept.open_e6, free))
        if size > 0:
            sales.append(_place(target, outcome, Side.SELL, size))
    unsellable = whole_e6(other - leaving.open_e6 - complement.free_e6)
    size = whole_e6(missing - buys.open_e6)
    if size <= 0:
        return TargetPlan(sales=tuple(sales))
    if unsellable > 0:
        name = target.outcome.other
        text = f"{unsellable / 1e6:.2f} shares of {name} can't be sold yet; they go first"
        return TargetPlan(sales=tuple(sales), waits=text)
    return TargetPlan(sales=tuple(sales), purchase=_place(target, target.outcome, Side.BUY, size))


class _Kept:
    """Open orders of one outcome and side: which may stay, and what they may still do."""

    def __init__(
        self,
        orders: tuple[Order, ...],
        outcome: Outcome,
        side: Side,
        wanted_e6: int,
        price_e4: int | None,
    ) -> None:
        self.open_e6 = 0
        cancels: list[str] = []
        for order in orders:
            request = order.request
            if request.outcome is not outcome or request.side is not side:
                continue
            fits = price_e4 in (None, request.price_e4) and (
                self.open_e6 + order.open_e6 <= wanted_e6
            )
            if request.tif.immediate or fits:
                self.open_e6 += order.open_e6
            else:
                cancels.append(order.order_id)
        self.cancels = tuple(cancels)


def _price(target: Target, own: bool) -> int | None:
    """Limit of an order in the target's own outcome or in the other one."""
    if target.price_e4 is None or own:
        return target.price_e4
    return PRICE_ONE - target.price_e4


def _place(target: Target, outcome: Outcome, side: Side, size_e6: int) -> Place:
    return Place(
        outcome,
        side,
        price_e4=_price(target, outcome is target.outcome),
        size_e6=size_e6,
        tif=target.tif,
        post_only=target.post_only,
        slippage_ticks=target.slippage_ticks,
        reason=target.reason,
        confidence=target.confidence,
        probability=target.probability,
    )
