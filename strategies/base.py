"""The strategy API: a read-only view of one market goes in, intents come out.

A strategy never does I/O, never looks at a clock of its own and keeps its memory in attributes
that `snapshot` and `restore` carry over a restart.

    class BuyTheRise(Strategy):
        class Params(StrategyParams):
            rise_bps: float = Field(50, gt=0, le=1000)

        name = "buy-the-rise"

        def on_tick(self, view):
            if view.spot_return(300) * 1e4 > self.params.rise_bps:
                yield Buy(Outcome.UP, budget_e6=20 * USD, reason="spot rose")
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.events import MarketResolved, TradePrint
from models.execution import Algo, AtEnd
from models.markets import Market, Outcome
from models.orders import Fill, Order
from strategies.features.ring import Times
from strategies.features.spec import Feature
from strategies.intents import (
    INTENTS,
    Buy,
    Cancel,
    Execute,
    Intent,
    Intents,
    Place,
    Protect,
    Quote,
    Sell,
    Target,
)

__all__ = [
    "INTENTS",
    "Algo",
    "AtEnd",
    "BookView",
    "Buy",
    "Cancel",
    "Execute",
    "Intent",
    "Intents",
    "Place",
    "Protect",
    "Quote",
    "Sell",
    "Strategy",
    "StrategyParams",
    "Target",
    "View",
]


class StrategyParams(BaseModel):
    """Base of every strategy's parameters. Bounds on fields are what a tuner may search."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- view -------------------------------------------------------------------------------------


class BookView(Protocol):
    """One token's book, best first; prices e4, sizes e6; None where a side is empty."""

    @property
    def bid_e4(self) -> int | None: ...
    @property
    def ask_e4(self) -> int | None: ...
    @property
    def bid_size_e6(self) -> int: ...
    @property
    def ask_size_e6(self) -> int: ...
    @property
    def mid(self) -> float | None:
        """Mid price in dollars, None unless both sides are there."""
        ...

    def bids(self, depth: int = 5) -> Sequence[tuple[int, int]]: ...
    def asks(self, depth: int = 5) -> Sequence[tuple[int, int]]: ...


class View(Protocol):
    """What a strategy may see of one market, as of `now_ns` and never later."""

    @property
    def market(self) -> Market: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def time_left_s(self) -> float: ...
    @property
    def elapsed_s(self) -> float: ...
    @property
    def up(self) -> BookView: ...
    @property
    def down(self) -> BookView: ...
    @property
    def spot(self) -> float | None:
        """Last spot price in US dollars, None before the first tick."""
        ...

    @property
    def strike(self) -> float | None:
        """Price to beat in US dollars, None until it is known."""
        ...

    def spot_return(self, seconds: float) -> float | None:
        """Relative change of spot over the last `seconds`; None without that much history."""
        ...

    def spot_average(self, seconds: float) -> float | None:
        """Mean spot price of the last `seconds` in US dollars; None without a tick."""
        ...

    def volatility(self, seconds: float) -> float | None:
        """Realised volatility per square root of a second over the last `seconds`."""
        ...

    def spot_window(self, seconds: float) -> tuple[Times, npt.NDArray[np.int64]]:
        """Times (ns) and spot prices (e8) of the last `seconds`, oldest first, read-only.

        They show other rows after the next price: copy what is to be kept.
        """
        ...

    def indicator(self, name: str, part: str = "value") -> float | None:
        """Newest result of an indicator of `Strategy.indicators`, None until it is warm.

        Raises `BadValue` for one that was not declared, or has no such part.
        """
        ...

    def window(self, name: str, seconds: float) -> tuple[Times, npt.NDArray[np.float64]]:
        """Times (ns) and samples of a declared `History` of the last `seconds`, oldest first.

        Read-only, and other rows after the next sample: copy what is to be kept.
        """
        ...

    def position_e6(self, outcome: Outcome) -> int:
        """Shares of this agent, in e6."""
        ...

    @property
    def open_orders(self) -> Sequence[Order]: ...
    @property
    def cash_e6(self) -> int:
        """Cash this agent may still use, in e6: capital and results less reservations."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether book and spot are young enough to act on. The engine refuses orders if not."""
        ...


# --- strategy ---------------------------------------------------------------------------------


class Strategy:
    """Base class. Override the hooks you need; each may return or yield intents
    (`strategies/intents.py`).

    One instance serves all windows of an agent; `view` says which market is meant.
    ``cadence_ms`` is the least time between two `on_tick` calls of a market; 0 means every event.
    """

    name: ClassVar[str]
    cadence_ms: ClassVar[int] = 1000
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    def __init__(self, params: StrategyParams) -> None:
        self.params: Any = params

    def indicators(self) -> Mapping[str, Feature]:
        """What `view.indicator` and `view.window` shall know, by name; asked once, at the start.

        The engine feeds and keeps them, over restarts too. Nothing declared costs nothing.

            def indicators(self):
                return {"fast": Feature(Ema(self.params.fast_s), Source.SPOT, every_s=1)}
        """
        return {}

    def on_start(self, view: View) -> Intents:
        """The market's window begins for this agent (also after a restart or a hand-over)."""
        return None

    def on_tick(self, view: View) -> Intents:
        """Something in view changed; called at most once per cadence."""
        return None

    def on_trade(self, view: View, trade: TradePrint) -> Intents:
        """A public trade happened."""
        return None

    def on_fill(self, view: View, fill: Fill) -> Intents:
        """One of our orders filled; called once per fill, not per status."""
        return None

    def on_cancel(self, view: View, order: Order) -> Intents:
        """One of our orders ended without filling whole."""
        return None

    def on_timer(self, view: View) -> Intents:
        """A whole second of the window passed, whatever the market does."""
        return None

    def on_resolution(self, view: View, resolved: MarketResolved) -> None:
        """The market was resolved."""

    def on_stop(self, view: View) -> Intents:
        """The window ends or the session stops; resting orders are cancelled afterwards.

        Not called where a successor goes on with the window and its orders.
        """
        return None

    def snapshot(self) -> dict[str, Any]:
        """Return all memory that decisions depend on, JSON-serialisable.

        What `restore` makes of it must decide as this instance would from here on.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned."""
