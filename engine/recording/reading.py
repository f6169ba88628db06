"""What can be read off a recording before it is played."""

from collections.abc import Iterable, Iterator
from typing import Any

from models.events import Channel, FeedState, FeedStatus, OrderUpdate, TradeUpdate
from models.markets import Market
from models.recording import Answered, Began, Called, Entry, Record, Turn, Watched


def stops(entries: Iterable[Entry]) -> Iterator[tuple[int, str]]:
    """Places of the records at which a window found that it was to stop, and its market."""
    last = 0
    for place, entry in enumerate(entries):
        if isinstance(entry, Turn | Answered | Began):
            last = place
        elif isinstance(entry, Called) and entry.hook == "on_stop":
            yield last, entry.condition_id


def market_data(entries: Iterable[Entry]) -> Iterator[Any]:
    """Yield what of a recording makes its tape: market data as the trader's books took them."""
    for entry in entries:
        if isinstance(entry, Record | OrderUpdate | TradeUpdate):
            continue
        if isinstance(entry, FeedStatus) and (entry.channel, entry.state) != (
            Channel.MARKET, FeedState.DOWN,
        ):  # fmt: skip
            continue
        yield entry


def markets_of(entries: Iterable[Entry]) -> tuple[Market, ...]:
    """Every market a recording watched, in order."""
    found: dict[str, Market] = {}
    for entry in entries:
        if isinstance(entry, Watched):
            found.setdefault(entry.market.condition_id, entry.market)
    return tuple(found.values())
