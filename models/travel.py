"""How long messages travel, as people write it in settings: none, always the same, or sampled.

==========================  ====================================================================
text                        meaning
==========================  ====================================================================
``0``                       no delay of ours; the connection's own is all there is
``constant:50ms``           every message takes 50 ms
``sampled:40ms:0.5``        log-normal with median 40 ms, 0.5 standard deviation of the logarithm
==========================  ====================================================================

Assumption: delays of messages are independent of each other. A log-normal has the hard minimum and
the long right tail of round trips over the internet; `engine.fills.latency` draws from it.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from models.errors import BadValue
from models.units import MILLISECOND_NS, SECOND_NS

FORM = "0, constant:50ms or sampled:40ms:0.5 (times in us, ms or s, at most 60 s)"
LONGEST_NS = 60 * SECOND_NS
MOST_SIGMA = 5.0
_UNITS_NS = {"us": 1_000, "ms": MILLISECOND_NS, "s": SECOND_NS}
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(us|ms|s)", re.ASCII)
_NUMBER = re.compile(r"\d{1,3}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Travel:
    """Travel time of one direction's messages.

    Parameters
    ----------
    median_ns
        Median travel time in ns, at most a minute; 0 is no delay at all.
    sigma
        Standard deviation of its logarithm; 0 makes every message take `median_ns`.

    Raises
    ------
    BadValue
        A value is out of range, or there is a spread around no delay.
    """

    median_ns: int = 0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.median_ns <= LONGEST_NS:
            took = f"{self.median_ns / SECOND_NS:g} s"
            raise BadValue(f"messages can't take {took}; write 0 to {LONGEST_NS // SECOND_NS} s")
        if not (math.isfinite(self.sigma) and 0 <= self.sigma <= MOST_SIGMA):
            raise BadValue(f"a spread of {self.sigma} is not within 0 to {MOST_SIGMA:g}")
        if self.sigma and not self.median_ns:
            raise BadValue(f"a spread of {self.sigma} around no delay; give a time above 0")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what people write. Raises `BadValue` with the forms allowed."""
        kind, *rest = text.strip().lower().split(":")
        if kind == "0" and not rest:
            return cls()
        if kind == "constant" and len(rest) == 1:
            return cls(_time_ns(rest[0]))
        if kind == "sampled" and len(rest) == 2:
            if not _NUMBER.fullmatch(rest[1]):
                raise BadValue(f"{rest[1]!r} is no plain number; write {FORM}")
            return cls(_time_ns(rest[0]), float(rest[1]))
        raise BadValue(f"write {FORM}")

    def __str__(self) -> str:
        """What `parse` reads back."""
        if not self.median_ns:
            return "0"
        time = f"{Decimal(self.median_ns) / MILLISECOND_NS:f}ms"
        sigma = f"{Decimal(str(self.sigma)):f}"
        return f"sampled:{time}:{sigma}" if self.sigma else f"constant:{time}"


def read_travel(value: Any) -> Any:
    """Read a setting's text; anything else is left to pydantic."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    try:
        return Travel.parse(str(value))
    except BadValue as error:
        raise ValueError(str(error)) from None


def _time_ns(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadValue(f"{text!r} is no time; write {FORM}")
    return round(Decimal(found[1]) * _UNITS_NS[found[2]])
