"""How a strategy says which indicators it needs, and of what."""

from dataclasses import dataclass
from enum import StrEnum

from models.errors import BadValue
from models.units import SECOND_NS
from strategies.features.base import Indicator

LEAST_EVERY_S = 0.1
MOST_EVERY_S = 3600.0


class Source(StrEnum):
    """What an indicator is fed with. Books and prints are in Up-price space, in dollars."""

    SPOT = "spot"
    """Price of the market's asset, US dollars; goes on from window to window."""
    MID = "mid"
    """Middle of best bid and best ask."""
    MICRO = "micro"
    """The same weighted by the sizes, see `strategies.features.flow.micro_price`."""
    BOOK = "book"
    """Best bid, its size, best ask, its size (shares)."""
    VOLUME = "volume"
    """Shares of each public trade."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One indicator a strategy wants: what it is, of what, and how often it is sampled.

    The engine makes a copy of `indicator` for every market (for every asset, if of `SPOT`).
    Sampling periods end at whole multiples of `every_s` since the epoch, by the venue's clock:
    at the first event at or after that moment, so no timer and no machine's clock plays a part
    and a recording gives the same samples. Periods without an event count as unchanged; a silence
    of more than a minute (or three periods) starts the indicator anew.

    Parameters
    ----------
    indicator
        A fresh one; only its copies are fed.
    source
        What it is fed with.
    every_s
        Length of a sampling period, 0.1 to 3600 s; 0 takes every price, every change of the best
        level or every trade as a sample.
    """

    indicator: Indicator
    source: Source = Source.SPOT
    every_s: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.indicator, Indicator):
            raise BadValue(f"feature: {self.indicator!r} is not an indicator; give one, not a type")
        if self.source not in self.indicator.SOURCES:
            raise BadValue(
                f"feature: {self.indicator!r} can't be of {self.source.value!r}; "
                f"it takes {', '.join(sorted(self.indicator.SOURCES))}"
            )
        if self.every_s != 0 and not LEAST_EVERY_S <= self.every_s <= MOST_EVERY_S:
            raise BadValue(
                f"feature: every_s={self.every_s!r} must be 0 or "
                f"{LEAST_EVERY_S} to {MOST_EVERY_S:g} seconds"
            )

    @property
    def every_ns(self) -> int:
        return round(self.every_s * SECOND_NS)
