"""What open orders may still take: the cash and shares that must not be spent twice."""

from models.markets import FeeSchedule, Market, Side, taker_fee_e6
from models.orders import Order
from models.units import PRICE_ONE


def cash_limited(order: Order) -> bool:
    """Whether cash, not shares, limits the order: FOK and FAK purchases."""
    return order.request.tif.immediate and order.request.side is Side.BUY


def reserved_cash_e6(
    order: Order, market: Market, *, spent_e6: int = 0, rests: bool = False
) -> int:
    """Cash a BUY order may still take, its worst taker fee included, in e6.

    Parameters
    ----------
    spent_e6
        What its fills cost so far, without fees.
    rests
        Whether it is in the book already, so that the rest of it pays no taker fee.

    Notes
    -----
    The fee is rounded per trade at the venue; an order filled in many trades may pay up to
    5 base units more for each of them than is reserved here.
    """
    if order.state.terminal or order.request.side is Side.SELL:
        return 0
    price = order.request.price_e4
    if cash_limited(order):
        cash = max(0, _up(price * order.request.size_e6) - spent_e6)
        worst = _dearest_price_e4(market.fee, market.tick_e4, price)
        return cash + taker_fee_e6(worst, -(-cash * PRICE_ONE // worst), market.fee)
    left = order.open_e6
    cash = _up(price * left)
    makes = rests or order.request.post_only
    return cash if makes else cash + taker_fee_e6(price, left, market.fee)


def reserved_shares_e6(order: Order) -> int:
    """Shares a SELL order may still take, in e6."""
    return order.open_e6 if order.request.side is Side.SELL else 0


def _up(scaled: int) -> int:
    return -(-scaled // PRICE_ONE)


def _dearest_price_e4(fee: FeeSchedule, tick_e4: int, limit_e4: int) -> int:
    """Price up to the limit at which a fixed sum of cash pays the most fee.

    For cash ``K`` and an exponent ``e`` the fee is ``K * rate * p ** (e - 1) * (1 - p) ** e``
    (one ``p`` more on a schedule of the notional): highest at the lowest price for today's
    exponent of 1, else where its derivative is zero.
    """
    power = fee.exponent - 1 + fee.of_notional
    peak = PRICE_ONE * power // (power + fee.exponent) if fee.exponent > 0 else 0
    return max(min(tick_e4, limit_e4), min(peak, limit_e4))
