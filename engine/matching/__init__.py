"""The matching core: pure, deterministic, integer base units, no clock of its own.

`Exchange` is the face; `types` holds what goes in and comes out, `audit` checks the books, `batch`
runs whole streams. The venue's rules by date are in `models.history`, what settles a market in
`models.settlement`. The loops in `kernels` are compiled at their first use (about 15 CPU-seconds,
once per version of the code) and then loaded from disk; `warm_up` does that ahead of time.
"""

from engine.matching.exchange import HOUSE, Exchange
from engine.matching.warm import warm_up

__all__ = ["HOUSE", "Exchange", "warm_up"]
