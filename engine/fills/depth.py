"""What the recording shows of a market, and what of it we have taken ourselves."""

from collections.abc import Sequence

from models.units import PRICE_ONE

Level = tuple[int, int]
"""(price_e4, size_e6) in Up's prices."""


class Depth:
    """The last book a recording or a live feed showed, less what our orders took from it.

    What we took never comes back by itself: it stays away for the rest of the recording, as the
    orders we took are gone for good while the recording still shows them. Only when the recorded
    level itself shrinks can some of them have left it there too; then at most what is still
    shown can be what we took. Orders that join the level later are new and may be taken.

    Parameters
    ----------
    view
        Levels a side that the feed shows at most; beyond the last of them nothing is known.
        None: the feed shows everything.
    """

    __slots__ = ("_sizes", "_taken", "_view", "asks", "bids", "known")

    def __init__(self, view: int | None = None) -> None:
        self._view = view
        self._sizes: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._taken: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.bids: Sequence[Level] = ()
        self.asks: Sequence[Level] = ()
        self.known = False

    def show(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Take a new book, best level first. An entirely empty one says nothing: see `known`."""
        self.bids, self.asks = bids, asks
        self.known = bool(bids or asks)
        self._sizes = (dict(asks), dict(bids))
        if not self.known:
            return
        for bid in (False, True):
            taken = self._taken[bid]
            for price in list(taken):
                shown = self.size(bid, price)
                if shown is not None:
                    taken[price] = min(taken[price], shown)
                    if not taken[price]:
                        del taken[price]

    def size(self, bid: bool, price_e4: int) -> int | None:
        """Size shown at a level, ours not subtracted; None beyond what the feed shows."""
        if not self.known:
            return None
        size = self._sizes[bid].get(price_e4)
        if size is not None:
            return size
        levels = self.bids if bid else self.asks
        if self._view is None or len(levels) < self._view:
            return 0
        worst = levels[-1][0]
        beyond = price_e4 < worst if bid else price_e4 > worst
        return None if beyond else 0

    def against(self, bid: bool, limit_e4: int) -> list[Level]:
        """What an order of ours could take: the other side up to its limit, best first."""
        taken = self._taken[not bid]
        result: list[Level] = []
        for price, size in self.asks if bid else self.bids:
            if price > limit_e4 if bid else price < limit_e4:
                break
            left = size - taken.get(price, 0)
            if left > 0:
                result.append((price, left))
        return result

    def take(self, bid: bool, price_e4: int, size_e6: int) -> None:
        """We took `size_e6` of the level on the side `bid`."""
        taken = self._taken[bid]
        taken[price_e4] = taken.get(price_e4, 0) + size_e6

    def taken(self, bid: bool, price_e4: int) -> int:
        """What of a level counts as taken by us."""
        return self._taken[bid].get(price_e4, 0)

    def liquidation_e6(self, up_e6: int, down_e6: int) -> int:
        """What shares would bring at the best prices shown, in cash e6; 0 for what nobody bids."""
        bid = self.bids[0][0] if self.bids else 0
        ask = self.asks[0][0] if self.asks else PRICE_ONE
        return (up_e6 * bid + down_e6 * (PRICE_ONE - ask)) // PRICE_ONE
