"""A session's line to the floor: policies in force, the floor's facts, and its reservation.

Room for an order is asked of Redis before the order is signed, and given back once the journal
says that it is no longer needed. While Redis is away, or has no numbers yet, the agent goes on
with a limit of its own that cannot pass the floor's together with the others': what is left when
every other agent has the larger of what its books say and its share of the floor's limit, which
is in proportion to its capital. While a Redis that came back waits for its numbers, nobody's open
cost rises.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from models.errors import FloorError, NotReady, StoreUnavailable
from models.units import usd
from risk.facts import NOTHING_KNOWN, FloorFacts
from risk.gate import Gate
from risk.limits import Limits
from risk.policies import PolicyFile
from store.leases import Lease
from store.open_books import OpenBooks
from store.reserve import Reserve, Reserved
from tasks.open_costs import costs_of

log = structlog.get_logger(__name__)

SYNC_S = 1.0
COMMIT_S = 5.0
"""Room that was taken is an order in Postgres, or refused, so long after Redis went or came at
the latest. Only then Postgres is asked what others have open."""
BLIP_S = 2.5
"""After an outage shorter than this nobody can have gone on alone."""
ANYTHING_E6 = 2**52
"""More than anything: what is open already is told whatever the limit says."""


class Tell(Protocol):
    """What has to be said: see `engine.ports.Journal.event`."""

    def __call__(self, kind: str, detail: Mapping[str, Any]) -> None: ...


class FloorLine:
    """Implements `engine.ports.Floor` for one session.

    Parameters
    ----------
    read
        Reads everybody's books as of now; may raise `StoreUnavailable`.
    lease
        Its token fences the reservation.
    capital_e6
        The floor's.
    tell
        Is told of an outage and its end, once each.
    clock
        Monotonic seconds.

    Attributes
    ----------
    gate, facts, others_e6
        See `engine.ports.Floor`.
    file
        The policies in force.
    """

    def __init__(
        self,
        reserve: Reserve,
        read: Callable[[], Awaitable[OpenBooks]],
        lease: Lease,
        limits: Limits,
        file: PolicyFile,
        capital_e6: int,
        tell: Tell,
        clock: Callable[[], float],
    ) -> None:
        self.facts: FloorFacts = NOTHING_KNOWN
        self.others_e6 = 0
        self._reserve = reserve
        self._read = read
        self._lease = lease
        self._limits = limits
        self.file = file
        self._capital_e6 = capital_e6
        self._tell = tell
        self._clock = clock
        self._lock = asyncio.Lock()
        self._row: Mapping[str, Any] = {}
        self._held_e6 = 0
        self._away_since: float | None = None
        self._alone_e6: int | None = None
        self._careful_until = 0.0
        self.gate = Gate(file, limits, capital_e6)

    # --- policies -------------------------------------------------------------------------------

    def adopt(self, file: PolicyFile) -> None:
        """Check orders by these policies from now on."""
        self.file = file
        self._alone_e6 = None
        self._build()

    def _build(self) -> None:
        self.gate = Gate(self.file, self._limits, self._capital_e6, self.facts.share)

    # --- reserving ------------------------------------------------------------------------------

    async def take(self, open_e6: int) -> str:
        """See `engine.ports.Floor.take`."""
        async with self._lock:
            if self._away_since is None:
                careful = self._clock() < self._careful_until
                if careful and (refusal := self._alone(open_e6)):
                    return refusal
                try:
                    # Never lowered here: the journal may not know yet of what was cancelled.
                    wanted = max(open_e6, self._held_e6)
                    answer = await self._ask(wanted, self.gate.floor_e6)
                except (NotReady, StoreUnavailable) as error:
                    self._went(error)
                else:
                    return "" if answer.allowed else self._no_room(answer, open_e6)
            return self._alone(open_e6)

    def _no_room(self, answer: Reserved, open_e6: int) -> str:
        after = self.others_e6 + open_e6
        return f"the floor at cost ${usd(after)}, limit ${usd(self.gate.floor_e6)}"

    def _alone(self, open_e6: int) -> str:
        """Judge by the limit that holds while Redis is away."""
        if self.gate.floor_e6 >= ANYTHING_E6:
            return ""
        if self._alone_e6 is None:
            return "reservations are away; what the others have open is not known yet"
        if open_e6 <= self._alone_e6:
            return ""
        return (
            f"reservations are away, the agent at cost ${usd(open_e6)}, "
            f"limit of its own until they are back ${usd(self._alone_e6)}"
        )

    # --- once a second --------------------------------------------------------------------------

    async def run(self, books: Callable[[], int | None]) -> None:
        """Keep reservation and facts up to date until cancelled; raises `LeaseLost`."""
        while True:
            await self.sync(books)
            await asyncio.sleep(SYNC_S)

    async def sync(self, books: Callable[[], int | None]) -> None:
        """Give back what is no longer open, hear the floor's facts, and mend what was away.

        Parameters
        ----------
        books
            What the agent has open, None while the journal does not have it all.

        Raises
        ------
        LeaseLost
            A newer session of the agent has spoken.
        """
        away = self._away_since is not None and not await self._reachable()
        async with self._lock:
            if away:
                await self._go_alone()
                return
            try:
                await self._sync(books())
            except NotReady as error:
                self._went(error)
                self._alone_e6 = None
                await self._mend(books())
            except StoreUnavailable as error:
                self._went(error)
            else:
                self._came_back(rebuilt=False)

    async def _sync(self, open_e6: int | None) -> None:
        if open_e6 is not None and open_e6 > self._held_e6:
            # Fills that came late, an order that lives after all: it is so, room or not.
            await self._ask(open_e6, ANYTHING_E6)
            return
        wanted = self._held_e6 if open_e6 is None else open_e6
        answer = await self._reserve.give(self._lease.agent, self._lease.token, wanted)
        self._held_e6 = wanted
        self._heard(answer)

    async def _ask(self, open_e6: int, limit_e6: int) -> Reserved:
        answer = await self._reserve.take(
            self._lease.agent, self._lease.token, open_e6, min(limit_e6, ANYTHING_E6)
        )
        if answer.allowed:
            self._held_e6 = open_e6
        self._heard(answer)
        return answer

    def _heard(self, answer: Reserved) -> None:
        self.others_e6 = max(0, answer.floor_open_e6 - self._held_e6)
        if answer.facts == self._row:
            return
        self._row = answer.facts
        before = self.facts
        self.facts = FloorFacts.from_row(answer.facts, self._lease.agent)
        if self.facts.share != before.share:
            self._build()

    # --- without reservations -------------------------------------------------------------------

    def _went(self, error: FloorError) -> None:
        if self._away_since is not None:
            return
        self._away_since = self._clock()
        self._alone_e6 = None
        # The rest grows old; a thrown switch does not.
        self.facts, self._row = FloorFacts(killed=self.facts.killed, share=self.facts.share), {}
        log.warning("reservations_away", agent=self._lease.agent, reason=str(error))
        self._tell("reservations_away", {"reason": str(error)})

    def _came_back(self, *, rebuilt: bool) -> None:
        if self._away_since is None:
            return
        seconds = round(self._clock() - self._away_since, 1)
        self._away_since = None
        if not rebuilt and seconds > BLIP_S:
            # Numbers of others who went on alone are too low until they too have told theirs.
            self._careful_until = self._clock() + COMMIT_S
        log.info("reservations_back", agent=self._lease.agent, seconds=seconds)
        self._tell("reservations_back", {"seconds": seconds})

    async def _reachable(self) -> bool:
        """Try Redis without keeping anybody waiting."""
        try:
            await self._reserve.ready()
        except StoreUnavailable:
            return False
        return True

    async def _go_alone(self) -> None:
        """Work out the limit for the time without Redis, once orders under way are committed."""
        assert self._away_since is not None
        if self.gate.floor_e6 >= ANYTHING_E6:
            return
        if self._alone_e6 is not None or self._clock() - self._away_since < COMMIT_S:
            return
        try:
            books = await self._read()
        except StoreUnavailable:
            return
        me, limit_e6 = self._lease.agent, self.gate.floor_e6
        known, capital = costs_of(books), books.capital_e6
        whole = max(1, sum(capital.values()))
        others = sum(
            max(known.get(agent, 0), -(-limit_e6 * capital.get(agent, 0) // whole))
            for agent in {*known, *capital} - {me}
        )
        self._alone_e6 = max(0, limit_e6 - others)
        self.others_e6 = sum(cost for agent, cost in known.items() if agent != me)
        detail = {"limit_e6": self._alone_e6}
        log.warning("own_share_until_reservations_are_back", agent=me, **detail)
        self._tell("own_share_until_reservations_are_back", detail)

    async def _mend(self, open_e6: int | None) -> None:
        """Tell a Redis that has no numbers everybody's, once orders under way are committed."""
        try:
            if open_e6 is None or await self._reserve.uptime_s() < COMMIT_S:
                return
            numbers = {**costs_of(await self._read()), self._lease.agent: open_e6}
            if await self._reserve.rebuild(numbers):
                log.info("reservations_rebuilt", agents=len(numbers))
                self._tell("reservations_rebuilt", {"open_e6": numbers})
            await self._ask(open_e6, ANYTHING_E6)
        except (NotReady, StoreUnavailable) as error:
            log.warning("reservations_not_rebuilt", reason=str(error))
        else:
            self._came_back(rebuilt=True)
