"""The trader: one agent, one event loop, all its markets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.clock import WaitingClock
from engine.ports import Discovery, Feed, Journal, Notices, Venue
from models.agents import AgentSpec
from models.journal import WindowResult
from models.markets import Market
from risk.limits import Limits
from strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class TraderSettings:
    """How a trader behaves in time. Seconds."""

    max_book_age_s: float = 30.0
    """Without a message about a book for this long, nothing new is sent and quotes are pulled."""
    max_spot_age_s: float = 6.0
    """The same for the spot price (its feed ticks about once a second)."""
    quit_before_end_s: float = 3.0
    """Stop quoting and cancel this long before a window ends."""
    failure_backoff_s: float = 5.0
    """Pause after a strategy raised; doubled with every further failure in a row."""
    failure_backoff_most_s: float = 300.0


@dataclass(frozen=True, slots=True)
class WindowFailure:
    """A window that ended early because its strategy raised."""

    slug: str
    error: str
    traceback: str


class Trader:
    """Runs one agent's strategy over its markets; see the module's docstring."""

    def __init__(
        self,
        *,
        spec: AgentSpec,
        strategy: Strategy,
        venue: Venue,
        feed: Feed,
        discovery: Discovery,
        journal: Journal,
        notices: Notices,
        clock: WaitingClock,
        limits: Limits,
        settings: TraderSettings = TraderSettings(),
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self.failures: dict[str, WindowFailure] = {}
        """Windows that failed, by condition id."""
        raise NotImplementedError

    async def start(self) -> None:
        """Load the journal, restore the strategy, recover orders, cancel leftovers, connect.

        Raises
        ------
        FloorError
            The journal or the venue does not answer; nothing stays running.
        """
        raise NotImplementedError

    async def run_window(self, market: Market) -> None:
        """Trade one market from now until shortly before its end; its orders are gone then.

        A strategy that raises ends its window, noted in `failures`; it never raises here.

        Raises
        ------
        LeaseLost
            The session is no longer ours.
        """
        raise NotImplementedError

    async def settle(self, market: Market) -> WindowResult:
        """Wait for the market's resolution and book what it brought; asked twice, done once."""
        raise NotImplementedError

    async def stop(self, reason: str) -> None:
        """Stop the windows, cancel every order, checkpoint and disconnect; may be called twice."""
        raise NotImplementedError

    def unsettled(self) -> tuple[Market, ...]:
        """Markets the journal brought along with fills or orders and no result yet."""
        raise NotImplementedError

    def checkpoint(self) -> dict[str, Any]:
        """What a successor needs to go on: JSON-serialisable and small."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """Health and standing for heartbeats: ticks, decisions, last_loop_ns, cash, orders, …"""
        raise NotImplementedError
