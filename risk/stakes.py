"""How much to buy: from an opinion and a purse to shares, and then cut to what is allowed.

Five wishes, one cut. A wish says how many shares would be right if there were no limits; `cut`
then applies, in this order, and names each that bit:

1. ``capital``: never more than the cash given for it.
2. ``headroom``: never more than the limits leave: one trade's limit, or what `Gate.room_e6` of
   `risk.gate` finds left of every other limit of money, whichever is less.
3. ``lot``: whole hundredths of a share, down.
4. ``minimum``: nothing, where that is below what the venue takes.

Every step only makes the size smaller, so the result is never above any limit, its worst taker
fee included.
"""

from dataclasses import dataclass
from math import floor, isfinite, sqrt

from models.errors import BadValue
from models.markets import FeeSchedule, Market, Side, taker_fee_e6
from models.orders import TimeInForce
from models.units import PRICE_ONE, SHARE
from risk.sizing import fit_buy_e6, minimum_e6, whole_e6

_FAR_E6 = 10**15
"""A size no account can have: what a wish without risk would grow to."""


@dataclass(frozen=True, slots=True)
class Sized:
    """Shares in e6 to ask for, and the cuts that made them fewer than wished."""

    size_e6: int
    wished_e6: int
    cuts: tuple[str, ...] = ()


def share_cost(price_e4: int, fee: FeeSchedule, maker: bool = False) -> float:
    """What one share costs in dollars, the taker's fee included unless it is bought resting."""
    _refuse_price(price_e4)
    paid = 0 if maker else taker_fee_e6(price_e4, SHARE, fee)
    return price_e4 / PRICE_ONE + paid / SHARE


def fixed_cash(cash_e6: int, cost: float) -> int:
    """Shares in e6 that a sum buys at a cost per share in dollars."""
    _refuse(cash_e6=cash_e6)
    return _shares(cash_e6 / SHARE, cost)


def risk_budget(loss_e6: int, cost: float, stop: float = 0.0) -> int:
    """Shares in e6 with which no more than `loss_e6` is lost if the share falls to `stop` dollars.

    Without a stop a share can lose all it cost. Raises `BadValue` for a stop at or above the cost.
    """
    _refuse(loss_e6=loss_e6)
    if not 0 <= stop < cost:
        raise BadValue(f"stop={stop!r} must be from 0 to below the cost of {cost:g}")
    return _shares(loss_e6 / SHARE, cost - stop)


def kelly(
    capital_e6: int,
    probability: float,
    cost: float,
    fraction: float = 1.0,
    probability_error: float = 0.0,
) -> int:
    """Shares in e6 that make capital grow fastest, or a fraction of that.

    Of a share that costs `k` and pays 1 with probability `p`, the share of capital to stake is
    (J. Kelly, "A new interpretation of information rate", Bell System Technical J. 35, 1956)::

        f = (p - k) / (1 - k)        when p > k, else nothing

    An estimate with the standard error `s` overbets; the stake is shrunk by the factor of R. Baker
    and I. McHale, "Optimal betting under parameter uncertainty", Decision Analysis 10 (2013)::

        (p - k)^2 / ((p - k)^2 + s^2)

    Parameters
    ----------
    fraction
        Of the full stake, from 0 to 1; a half has three quarters of the growth and half the
        scatter.
    """
    _refuse(capital_e6=capital_e6)
    for name, value in (("probability", probability), ("fraction", fraction)):
        if not 0 <= value <= 1:
            raise BadValue(f"{name}={value!r} must be from 0 to 1")
    if not (probability_error >= 0 and isfinite(probability_error)):
        raise BadValue(f"probability_error={probability_error!r} must be finite, at least zero")
    edge = probability - cost
    if edge <= 0 or cost >= 1 or fraction == 0:
        return 0
    shrink = edge * edge / (edge * edge + probability_error * probability_error)
    stake = fraction * shrink * edge / (1 - cost)
    return _shares(capital_e6 / SHARE * stake, cost)


def volatility_target(deviation_e6: int, probability: float) -> int:
    """Shares in e6 whose result scatters by `deviation_e6` of cash (one standard deviation).

    A share's result is that of a coin: its deviation is ``sqrt(p (1 - p))`` dollars. Of a
    certainty any number scatters by nothing; the limits decide then.
    """
    _refuse(deviation_e6=deviation_e6)
    if not 0 <= probability <= 1:
        raise BadValue(f"probability={probability!r} must be from 0 to 1")
    return _shares(deviation_e6 / SHARE, sqrt(probability * (1 - probability)))


def cut(
    wished_e6: int,
    price_e4: int,
    market: Market,
    headroom_e6: int,
    capital_e6: int | None = None,
    tif: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
) -> Sized:
    """Cut a wish for a BUY to what may be asked for; the module says in which order.

    Parameters
    ----------
    headroom_e6
        What the limits leave for one order, in e6 of cash.
    capital_e6
        Cash set aside for this purchase; None where only the limits count.
    """
    _refuse_price(price_e4)
    _refuse(wished_e6=wished_e6)
    cuts: list[str] = []
    size = wished_e6
    for name, cash_e6 in (("capital", capital_e6), ("headroom", headroom_e6)):
        if cash_e6 is None or size <= 0:
            continue
        fitting = _fitting(size, max(0, cash_e6), price_e4, market, tif, post_only)
        if fitting < whole_e6(size):
            cuts.append(name)
            size = fitting
    if size != whole_e6(size):
        cuts.append("lot")
        size = whole_e6(size)
    least = minimum_e6(price_e4, market, Side.BUY, tif)
    if 0 < size < least:
        cuts.append("minimum")
        size = 0
    return Sized(size, wished_e6, tuple(cuts))


def _fitting(
    size_e6: int, cash_e6: int, price_e4: int, market: Market, tif: TimeInForce, post_only: bool
) -> int:
    size = whole_e6(size_e6)
    if size < minimum_e6(price_e4, market, Side.BUY, tif):
        return size
    return fit_buy_e6(size, cash_e6, price_e4, market, tif, post_only)


def _shares(dollars: float, each: float) -> int:
    """Shares in e6, rounded down; a cost of nothing gives a size beyond all limits."""
    if not (each >= 0 and isfinite(each)):
        raise BadValue(f"cost={each!r} of a share must be finite and at least zero")
    if each * _FAR_E6 <= dollars * SHARE:
        return _FAR_E6
    return floor(dollars / each * SHARE)


def _refuse_price(price_e4: int) -> None:
    if not 0 < price_e4 < PRICE_ONE:
        raise BadValue(f"price_e4={price_e4!r} must be from 1 to {PRICE_ONE - 1}")


def _refuse(**amounts: int) -> None:
    for name, value in amounts.items():
        if type(value) is not int or value < 0:
            raise BadValue(f"{name}={value!r} must be a whole number of at least zero")
