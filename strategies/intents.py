"""What a strategy may want: orders, quotes, a position, protection of it, a careful execution.

Every intent may say why (`reason`), how sure the strategy is (`confidence`, 0 to 1), and its
`probability` that Up wins, which is kept with the decision to measure calibration.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from models.execution import Algo, AtEnd
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SHARE


@dataclass(frozen=True, slots=True)
class Place:
    """Send one order.

    Give `size_e6` shares or a `budget_e6` in pUSD (the engine turns it into whole hundredths of
    a share at the limit price). Without `price_e4` the order crosses: it takes the best opposite
    price, up to `slippage_ticks` worse.

    With `stop_loss_e4` or `take_profit_e4` (of a BUY only) what the order buys is sold once the
    outcome's best bid is at or below the one, or at or above the other; the first cancels the
    second. Both are kept by us and survive restarts.
    """

    outcome: Outcome
    side: Side
    price_e4: int | None = None
    size_e6: int | None = None
    budget_e6: int | None = None
    tif: TimeInForce = TimeInForce.FAK
    post_only: bool = False
    slippage_ticks: int = 1
    reason: str = ""
    confidence: float = 1.0
    probability: float | None = None
    stop_loss_e4: int | None = None
    take_profit_e4: int | None = None


def Buy(outcome: Outcome, **wish: Any) -> Place:
    """Buy an outcome: ``Buy(Outcome.UP, budget_e6=20 * USD)``; the rest is as in `Place`."""
    return Place(outcome, Side.BUY, **wish)


def Sell(outcome: Outcome, **wish: Any) -> Place:
    """Sell an outcome that is held: ``Sell(Outcome.UP, size_e6=10 * SHARE)``; see `Place`."""
    return Place(outcome, Side.SELL, **wish)


@dataclass(frozen=True, slots=True)
class Quote:
    """Keep a two-sided quote in Up-price space; None leaves that side empty.

    An ask is a SELL of Up as far as we hold it and a BUY of Down at ``1 - ask`` beyond; a bid is
    a SELL of Down at ``1 - bid`` as far as we hold it and a BUY of Up beyond. The engine keeps
    resting orders that still fit and replaces the rest; every order is post-only.
    """

    bid_e4: int | None
    bid_size_e6: int
    ask_e4: int | None
    ask_size_e6: int
    reason: str = ""
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Hold `shares_e6` of an outcome and none of the other.

    The engine works out the difference to what is held and open, in one step: orders that lead
    elsewhere are cancelled, what is too much is sold, and only then is bought what is missing.
    A difference of at most `tolerance_e6` is left alone, except when the target is zero. Say it
    again with every tick: shares that are not on the chain yet can't be sold at once.

    Price, time in force and slippage are those of `Place`, for sales and purchases alike; so are
    `stop_loss_e4` and `take_profit_e4`, which guard the whole position.
    """

    outcome: Outcome
    shares_e6: int
    price_e4: int | None = None
    tif: TimeInForce = TimeInForce.FAK
    post_only: bool = False
    slippage_ticks: int = 0
    tolerance_e6: int = SHARE
    reason: str = ""
    confidence: float = 1.0
    probability: float | None = None
    stop_loss_e4: int | None = None
    take_profit_e4: int | None = None


@dataclass(frozen=True, slots=True)
class Protect:
    """Guard what is held of an outcome; whatever comes first sells it, the others are off then.

    It replaces the outcome's earlier `Protect`; with nothing given it only takes that away. The
    guards of single orders (`Place.stop_loss_e4`) stay beside it.

    Parameters
    ----------
    stop_loss_e4, take_profit_e4
        Sell once the best bid is at or below, at or above this price.
    trail_bps
        Sell once the best bid has fallen this many hundredths of a percent from the highest it
        was since: 1000 is ten percent.
    exit_after_s, exit_left_s
        Sell after this many seconds, or when this many are left of the window.
    size_e6
        At most so many shares; None means all that is held.
    slippage_ticks
        How far below the best bid the sale may go.
    """

    outcome: Outcome
    stop_loss_e4: int | None = None
    take_profit_e4: int | None = None
    trail_bps: int | None = None
    exit_after_s: float | None = None
    exit_left_s: float | None = None
    size_e6: int | None = None
    slippage_ticks: int = 3
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Execute:
    """Buy or sell a size little by little. One at a time per outcome; `Cancel()` ends it.

    Parameters
    ----------
    price_e4
        Never buy above or sell below this. An iceberg needs it: it rests there.
    duration_s
        Time to take; None means until shortly before the window's end.
    slices
        TWAP: how many.
    profile
        VWAP: expected volume of equal parts of the time; empty follows the tape instead.
    participation
        VWAP on the tape: shares for each share that others trade, 0 to 1.
    show_e6
        Iceberg: the size of a slice.
    patience_s
        PASSIVE: how long to rest before crossing.
    """

    algo: Algo
    outcome: Outcome
    side: Side
    size_e6: int
    price_e4: int | None = None
    duration_s: float | None = None
    slices: int = 10
    profile: tuple[float, ...] = ()
    participation: float = 0.1
    show_e6: int | None = None
    patience_s: float = 10.0
    at_end: AtEnd = AtEnd.FINISH
    reason: str = ""
    confidence: float = 1.0
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel one order of this market; without `order_id` all of them and every `Execute`.

    Protection stays: `Protect` with nothing given takes it away.
    """

    order_id: str | None = None
    reason: str = ""


Intent = Place | Quote | Target | Protect | Execute | Cancel
INTENTS = (Place, Quote, Target, Protect, Execute, Cancel)
"""Every class of intent, for ``isinstance``."""
Intents = Iterable[Intent] | Intent | None
