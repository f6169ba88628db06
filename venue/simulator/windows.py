"""Windows: which markets exist at a moment, and their ids.

A window's slug is ``{asset}-updown-{timeframe}-{start}``; every id follows from slug and length by
keccak, so the same window has the same ids before and after a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from models.markets import TIMEFRAMES, FeeSchedule, Market, Outcome, Settlement
from models.units import SECOND_NS
from venue.simulator.config import Series
from venue.simulator.eip712 import keccak

CRYPTO_FEE = FeeSchedule(rate_ppm=70_000, exponent=1, rebate_ppm=200_000)
"""Today's fee of crypto markets: 0.07, exponent 1, a fifth of it to the makers."""
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "XRP": "XRP"}
LISTED_AHEAD = 3
"""Windows listed beside the running one."""


@dataclass(slots=True)
class Window:
    """A market and what the simulator knows of its life.

    Parameters
    ----------
    number
        Gamma's numeric id, as text; the event's is the same.
    opening_e8, closing_e8
        Settlement prices at start and end; None until they are known.
    winner
        Set once the window is resolved, at `resolved_ns`.
    """

    market: Market
    number: str
    question_id: str
    listed_ns: int
    opening_e8: int | None = None
    closing_e8: int | None = None
    winner: Outcome | None = None
    resolved_ns: int = 0
    last_trade: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Last trade's price (e4) and taker's side, by token."""
    volume_e6: int = 0
    """Cash traded, in e6."""
    history: list[tuple[int, int]] = field(default_factory=list)
    """(epoch second, Up's mid price in e4), sampled while the market lives."""

    @property
    def condition_id(self) -> str:
        return self.market.condition_id

    @property
    def closed(self) -> bool:
        return self.winner is not None


def length_s(series: Series, window_seconds: int | None) -> int:
    return window_seconds or TIMEFRAMES[series.timeframe]


def window_start_s(at_s: int, length: int) -> int:
    return at_s - at_s % length


def upcoming(at_s: int, length: int) -> Iterator[int]:
    """Starts of the running window and those listed ahead."""
    first = window_start_s(at_s, length)
    return (first + i * length for i in range(LISTED_AHEAD + 1))


def slug_of(series: Series, start_s: int) -> str:
    return f"{series.asset.lower()}-updown-{series.timeframe}-{start_s}"


def make_window(
    series: Series, start_s: int, length: int, settlement: Settlement, listed_ns: int
) -> Window:
    """Build the window of a series that starts at `start_s` (epoch seconds)."""
    slug = slug_of(series, start_s)
    name = NAMES.get(series.asset, series.asset)
    market = Market(
        condition_id="0x" + keccak(f"condition:{slug}:{length}".encode()).hex(),
        slug=slug,
        question=f"{name} Up or Down - {start_s} ({series.timeframe})",
        asset=series.asset,
        timeframe=series.timeframe,
        up_token=_token(slug, length, "Up"),
        down_token=_token(slug, length, "Down"),
        start_ns=start_s * SECOND_NS,
        end_ns=(start_s + length) * SECOND_NS,
        tick_e4=100,
        min_size_e6=5_000_000,
        fee=CRYPTO_FEE,
        settlement=settlement,
    )
    return Window(
        market=market,
        number=str(int.from_bytes(keccak(slug.encode())[:5], "big") % 9_000_000 + 1_000_000),
        question_id="0x" + keccak(f"question:{slug}".encode()).hex(),
        listed_ns=listed_ns,
    )


def _token(slug: str, length: int, outcome: str) -> str:
    return str(int.from_bytes(keccak(f"token:{slug}:{length}:{outcome}".encode()), "big"))


class Registry:
    """All windows the venue still speaks about, by every id they have."""

    def __init__(self) -> None:
        self.by_slug: dict[str, Window] = {}
        self.by_condition: dict[str, Window] = {}
        self.by_token: dict[str, Window] = {}
        self.by_number: dict[str, Window] = {}

    def add(self, window: Window) -> None:
        market = window.market
        self.by_slug[market.slug] = window
        self.by_condition[market.condition_id] = window
        self.by_number[window.number] = window
        if market.up_token:
            self.by_token[market.up_token] = window
            self.by_token[market.down_token] = window

    def remove(self, window: Window) -> None:
        market = window.market
        self.by_slug.pop(market.slug, None)
        self.by_condition.pop(market.condition_id, None)
        self.by_number.pop(window.number, None)
        self.by_token.pop(market.up_token, None)
        self.by_token.pop(market.down_token, None)

    def all(self) -> list[Window]:
        """Every window, earliest first."""
        return sorted(self.by_slug.values(), key=lambda w: (w.market.start_ns, w.market.slug))
