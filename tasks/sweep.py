"""Cancelling everything at the venue, quickly and with each agent's own key.

The venue counts cancels by signer, and all agents sign with one: a burst of 120, then 80 a second;
a request beyond that is refused whole. So up to about a hundred orders go with one cancel-all per
agent at once, and more of them by their ids in paced batches: 200 orders take a good second.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import structlog

from models.errors import FloorError, VenueError
from models.settings import Settings
from tasks.api_keys import api_nonce
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.limits import TokenBucket

log = structlog.get_logger(__name__)

BATCH = 25
RATE, BURST = 80.0, 120.0
AT_ONCE = 100
"""Up to so many orders cancel-all needs no more than the burst, a request per agent included."""
ROUND_S = 0.25
CALL_S = 3.0
TRIES = 3
"""How often a line is tried to be opened."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did.

    ``left`` is how many orders are still open, None where the venue does not say; ``seconds`` how
    long it took until the last order was cancelled, opening the lines included.
    """

    cancelled: int = 0
    left: int | None = None
    seconds: float = 0.0
    faults: Mapping[str, str] = field(default_factory=dict)
    """Why, by agent, where its orders could not be asked to go."""

    @property
    def clean(self) -> bool:
        """The venue itself says that nothing is open any more."""
        return self.left == 0


class Sweeper:
    """``async with Sweeper(settings)``: lines to the venue for as many agents as are named."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._opening: dict[str, asyncio.Task[PolymarketVenue]] = {}
        self._pacer = TokenBucket("cancels", RATE, BURST, patience_s=60.0, clock=time.monotonic)
        self._gone: set[str] = set()
        self._gone_at = self._began
        self.faults: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._opening.values():
            task.cancel()
        opened = await asyncio.gather(*self._opening.values(), return_exceptions=True)
        lines = [line for line in opened if isinstance(line, PolymarketVenue)]
        await asyncio.gather(*(line.close() for line in lines), return_exceptions=True)

    def open(self, agents: Iterable[str]) -> None:
        """Begin to open lines with these agents' keys, all at the same time."""
        for agent in agents:
            if agent not in self._opening:
                self._opening[agent] = asyncio.create_task(
                    self._connect(agent), name=f"sweep {agent}"
                )

    async def _connect(self, agent: str) -> PolymarketVenue:
        """Open a line; a venue that does not answer at once is asked again, a few times."""
        tries = 1
        while True:
            try:
                return await PolymarketVenue.connect(
                    self._settings, nonce=api_nonce(agent), agent=agent, timeout_s=CALL_S
                )
            except VenueError:
                if tries == TRIES:
                    raise
            tries += 1
            await asyncio.sleep(ROUND_S)

    async def run(
        self,
        owners: Callable[[], Mapping[str, str]],
        *,
        only: str = "",
        known_only: bool = False,
        settle_s: float = 0.0,
        patience_s: float = 15.0,
    ) -> Swept:
        """Cancel until the venue lists nothing any more, or patience is over. Never raises.

        Parameters
        ----------
        owners
            Tells the agents of orders by id, as far as they are known by now.
        only
            Cancel this agent's orders alone, those that `owners` knows.
        known_only
            Cancel those that `owners` knows, whosever they are.
        settle_s
            Look again until so many seconds have passed, for what was sent meanwhile.
        """
        left: int | None = None
        turn = 0
        while lines := await self._lines():
            try:
                opened = await _listed(lines, turn)
                if only or known_only:
                    known = owners()
                    wanted = [one for one in opened if one in known]
                    opened = [one for one in wanted if only in ("", known[one])]
                    turn = max(turn, 1)  # by id: cancel-all would take the others too
                left = len(opened)
                if opened:
                    await self._cancel(opened, owners(), turn)
                elif time.monotonic() - self._began >= settle_s:
                    break
            except VenueError as error:
                self.faults["venue"] = str(error)
                left = None
            if time.monotonic() - self._began > patience_s:
                break
            turn += 1
            await asyncio.sleep(ROUND_S)
        if left == 0:
            self.faults.pop("venue", None)
        return Swept(len(self._gone), left, self._gone_at - self._began, dict(self.faults))

    async def _lines(self) -> dict[str, PolymarketVenue]:
        """Lines that are open by now, at least one; none where none can be opened."""
        waiting = {task for task in self._opening.values() if not task.done()}
        while waiting and not self._opened():
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return self._opened()

    def _opened(self) -> dict[str, PolymarketVenue]:
        found = {}
        for agent, task in self._opening.items():
            if not task.done():
                continue
            error = task.exception()
            if error is None:
                found[agent] = task.result()
            else:
                told = str(error) if isinstance(error, FloorError) else type(error).__name__
                self.faults[agent] = told
        return found

    async def _cancel(self, opened: list[str], owners: Mapping[str, str], turn: int) -> None:
        if len(opened) + len(self._opening) <= AT_ONCE and turn == 0:
            calls = [self._cancel_all(agent) for agent in self._opening]
        else:
            calls = [
                self._cancel_some(agent, ids[at : at + BATCH])
                for agent, ids in self._by_agent(opened, owners, turn).items()
                for at in range(0, len(ids), BATCH)
            ]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, VenueError):
                self.faults["venue"] = str(outcome)
            elif isinstance(outcome, BaseException) and not isinstance(outcome, FloorError):
                raise outcome

    async def _cancel_all(self, agent: str) -> None:
        line = await asyncio.shield(self._opening[agent])
        report = await line.cancel_all()
        self._pacer.charge(1 + len(report.cancelled))
        self._note(report.cancelled)

    async def _cancel_some(self, agent: str, ids: list[str]) -> None:
        line = await asyncio.shield(self._opening[agent])
        await self._pacer.take(len(ids))
        self._note((await line.cancel(ids)).cancelled)

    def _by_agent(
        self, opened: Iterable[str], owners: Mapping[str, str], turn: int
    ) -> dict[str, list[str]]:
        """Orders by the line to cancel them through: their agent's, or each in turn."""
        names = list(self._opened())
        found: dict[str, list[str]] = defaultdict(list)
        for order_id in opened:
            owner = owners.get(order_id, "") if turn < 2 else ""
            found[owner if owner in self._opening else names[turn % len(names)]].append(order_id)
        return found

    def _note(self, cancelled: Iterable[str]) -> None:
        before = len(self._gone)
        self._gone |= set(cancelled)
        if len(self._gone) > before:
            self._gone_at = time.monotonic()


async def _listed(lines: Mapping[str, PolymarketVenue], turn: int) -> list[str]:
    """The wallet's open orders, asked through another line each time."""
    line = list(lines.values())[turn % len(lines)]
    return [order.order_id for order in await line.open_orders()]
