"""Which fills a strategy has heard of, so that a successor tells it of the others and of no other.

A session may die after a fill was written down and before the strategy was told, and fills that
came while nobody was there are found by the next session. A strategy that counts its fills must
hear of each once.
"""

from collections.abc import Iterable
from zlib import crc32

from models.orders import Fill, TradeStatus


class Told:
    """The fills of one market window that were told.

    Parameters
    ----------
    marks
        As `marks` gave them; None when nothing is known of what was told before: then whatever is
        in the books already counts as told.
    """

    def __init__(self, marks: Iterable[int] | None = None) -> None:
        self._new = marks is None
        self._marks = set(marks or ())

    def note(self, news: object) -> None:
        """The strategy was told of this."""
        if isinstance(news, Fill):
            self._marks.add(_mark(news))

    def missed(self, fills: Iterable[Fill]) -> list[Fill]:
        """Return which of a window's fills are still to be told, oldest first."""
        found = [
            fill
            for fill in fills
            if fill.status is not TradeStatus.FAILED and _mark(fill) not in self._marks
        ]
        if self._new:
            self._marks.update(map(_mark, found))
            return []
        return sorted(found, key=lambda fill: (fill.matched_ns, fill.trade_id, fill.order_id))

    def marks(self) -> list[int]:
        """Return one number per fill, for a checkpoint: the ids would fill it."""
        return sorted(self._marks)


def _mark(fill: Fill) -> int:
    return crc32(f"{fill.trade_id}:{fill.order_id}".encode())
