"""Running one drill: wait until the floor trades, strike, watch, heal, compare the books."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from typing import TypeVar

from models.errors import FloorError, NotReady, StoreUnavailable
from models.units import SECOND_NS
from store import agents
from tasks.drilling.books import BooksReport, agree
from tasks.drilling.harm import CannotHarm
from tasks.drilling.report import DrillResult, utc_now
from tasks.drilling.scene import Drill, Expect, Scene
from tasks.drilling.signs import Sign, Signs
from tasks.drilling.stage import Accepted, Stage

POLL_S = 0.25
READY_S = 300.0
"""How long a drill waits for a floor that trades before it gives up."""
FRESH_S = 15.0
"""The agent counts as trading while its last accepted order is at most this old."""
SETTLE_S = 60.0
"""How long the books may take to agree after a fault."""

LATE = "trading again only after"
"""How the problem of a missed target begins; a slow machine explains it, and no other."""

Tell = Callable[[str], None]
_T = TypeVar("_T")


async def run_drill(
    drill: Drill,
    stage: Stage,
    agent: str,
    tell: Tell,
    *,
    seconds: float | None = None,
    full: bool = False,
) -> DrillResult:
    """Run one drill to its end and return what was found.

    Whatever happens, a cancellation included, what was broken is restored.

    Parameters
    ----------
    agent
        The agent that is watched, and struck where one must be.
    tell
        Is told of every step, for people.
    seconds
        How long a lasting fault stays on; the drill's own when None.
    full
        Use the drill's full length.

    Raises
    ------
    NotReady
        The floor does not trade, so nothing could be shown.
    """
    at = utc_now()
    lasts = drill.full_s if full and drill.full_s else drill.lasts_s
    scene = Scene(stage, agent, lasts if seconds is None or not lasts else seconds, full)
    tell(f"{drill.name}: waiting until {agent} trades")
    await until_trading(stage, agent)
    before = await stage.order_count()
    lease = (await stage.leases())[agent]
    scene.token = lease.token
    signs = Signs(stage, agent, drill.sign)
    await signs.begin()
    scene.struck_ns = time.time_ns()
    tell(f"{drill.name}: {drill.about}")
    try:
        await drill.strike(scene)
        await _watch(drill, scene, signs, tell)
        if drill.probe is not None:
            await drill.probe(scene)
    except CannotHarm as error:
        scene.fail(f"not possible here: {error}")
    except FloorError as error:
        scene.fail(str(error))
    finally:
        await scene.heal()
    tell(f"{drill.name}: comparing the books")
    books = await _books(stage, scene)
    if not drill.keeps_budget:
        await forgive(stage)
    result = _result(drill, scene, signs.first, books, before, at)
    tell(f"{drill.name}: {'passed' if result.passed else 'FAILED'}")
    return result


async def until_trading(stage: Stage, agent: str, patience_s: float = READY_S) -> None:
    """Return once the agent holds its lease and the exchange took an order of it just now.

    Raises
    ------
    NotReady
        It does not come to that in `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    why = ""
    while time.monotonic() < deadline:
        try:
            lease = (await stage.leases()).get(agent)
            if lease is None or not lease.live:
                why = "no session holds its lease"
            else:
                await stage.learn_keys()
                fresh = time.time_ns() - int(FRESH_S * SECOND_NS)
                if any(one.created_ns > fresh for one in await _orders_of(stage, agent)):
                    return
                why = f"the exchange took no order of it for {FRESH_S:.0f} s"
        except (NotReady, StoreUnavailable) as error:
            why = str(error)
        await asyncio.sleep(1.0)
    raise NotReady(f"{agent} does not trade, so no drill can show anything: {why}")


async def _watch(drill: Drill, scene: Scene, signs: Signs, tell: Tell) -> None:
    """Look until trading is on again or patience ends; heal when the fault's time is over."""
    heal_at = scene.struck_ns + int(scene.seconds * SECOND_NS)
    patience = max(120.0, 3 * drill.target_s)
    give_up = max(heal_at, time.time_ns()) + int(patience * SECOND_NS)
    if drill.lasts_s == 0 and not drill.until_again:
        await scene.heal()
    told = ""
    while time.time_ns() < give_up:
        await signs.look()
        if signs.first is not None and signs.first.text != told:
            told = signs.first.text
            tell(f"{drill.name}: noticed: {told}")
        await _look_for_trading(drill, scene)
        over = time.time_ns() >= heal_at
        if not scene.healed_ns and (scene.again_ns if drill.until_again else over):
            if drill.expect in (Expect.THROUGH, Expect.EITHER):
                await _look_for_trading(drill, scene)
            await scene.heal()
            tell(f"{drill.name}: the fault is over")
        if scene.healed_ns and scene.again_ns:
            await _how_it_went_on(drill, scene)
            await signs.look()
            return
        await asyncio.sleep(POLL_S)


async def once_answered(look: Callable[[], Awaitable[_T]], patience_s: float = SETTLE_S) -> _T:
    """Return what `look` finds, as soon as what it looks at answers.

    Raises
    ------
    NotReady, StoreUnavailable
        It still does not after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return await look()
        except (NotReady, StoreUnavailable):
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(POLL_S)


async def _look_for_trading(drill: Drill, scene: Scene) -> None:
    """Note the first order that shows what the drill expects."""
    if scene.again_ns:
        return
    basis = scene.healed_ns if drill.expect is Expect.AFTER else scene.struck_ns
    if not basis:
        return
    with suppress(NotReady, StoreUnavailable):
        if drill.service:
            basis = max(basis, await _back_since_ns(scene, drill.service))
        found = [
            one for one in await _orders_of(scene.stage, scene.agent) if one.created_ns > basis
        ]
        if drill.expect is Expect.REPLACED:
            found = await _of_newer_session(scene, found)
        if found:
            scene.again_ns = min(one.created_ns for one in found)


async def _back_since_ns(scene: Scene, service: str) -> int:
    """When the program's present process was born, if it is another than the one that was hit."""
    process = scene.stage.program(service)
    born_ns = int(process.create_time() * SECOND_NS)
    if born_ns < scene.struck_ns - SECOND_NS:
        raise NotReady(f"{service} is still the one that was hit")
    return born_ns


async def _of_newer_session(scene: Scene, orders: list[Accepted]) -> list[Accepted]:
    """Keep orders a session with a newer token signed, provided that it holds the lease now."""
    lease = (await scene.stage.leases()).get(scene.agent)
    if not orders or lease is None or not lease.live or lease.token <= scene.token:
        return []
    tokens = await scene.stage.tokens([one.order_id for one in orders])
    return [one for one in orders if tokens.get(one.order_id, ("", 0))[1] > scene.token]


async def _how_it_went_on(drill: Drill, scene: Scene) -> None:
    """Note what became of session and orders; a fault that must not interrupt has to prove it."""
    # An order may be taken again before Postgres has recovered.
    lease = (await once_answered(scene.stage.leases))[scene.agent]
    replaced = lease.token != scene.token
    if replaced and drill.expect is Expect.THROUGH:
        scene.fail(f"the session was replaced (token {scene.token} to {lease.token})")
    if drill.expect in (Expect.AFTER, Expect.EITHER):
        scene.note("the session was replaced" if replaced else "the same session trades on")
    if not drill.lasts_s:
        return
    taken = [one.created_ns for one in await _orders_of(scene.stage, scene.agent)]
    during = sorted(ns for ns in taken if scene.struck_ns < ns < scene.healed_ns)
    silence = longest_silence_s([scene.struck_ns, *during, scene.healed_ns])
    scene.note(f"{len(during)} orders while it was on; longest silence {silence:.0f} s")
    halfway = (scene.struck_ns + scene.healed_ns) // 2
    if drill.expect is Expect.THROUGH and not any(ns > halfway for ns in during):
        scene.fail("no order was accepted in the second half of the fault's time")


def longest_silence_s(moments_ns: list[int]) -> float:
    """Return the longest time between two moments that follow each other, in seconds."""
    return max(later - earlier for earlier, later in pairwise(moments_ns)) / SECOND_NS


async def _orders_of(stage: Stage, agent: str) -> list[Accepted]:
    """Return the newest orders the exchange took from the agent."""
    orders = await stage.accepted()
    if any(one.key not in stage.agent_of_key for one in orders):
        with suppress(StoreUnavailable):
            await stage.learn_keys()
    return [one for one in orders if stage.agent_of_key.get(one.key) == agent]


async def _books(stage: Stage, scene: Scene) -> BooksReport | None:
    try:
        return await once_answered(lambda: agree(stage.database, stage.ledger, SETTLE_S))
    except (NotReady, StoreUnavailable) as error:
        scene.fail(f"the books could not be compared: {error}")
        return None


async def forgive(stage: Stage) -> None:
    """Take restarts that drills caused off every agent's budget."""
    with suppress(StoreUnavailable):
        for agent in await stage.leases():
            await agents.forgive_restarts(stage.database, agent)


def _result(
    drill: Drill,
    scene: Scene,
    sign: Sign | None,
    books: BooksReport | None,
    before: int,
    at: str,
) -> DrillResult:
    """Judge what was seen."""
    basis = scene.healed_ns if drill.expect is Expect.AFTER else scene.struck_ns
    again = (scene.again_ns - basis) / SECOND_NS if scene.again_ns else None
    problems = list(scene.problems)
    if again is None and not problems:
        problems.append("no order was accepted again")
    if again is not None and again > drill.target_s:
        problems.append(f"{LATE} {again:.1f} s")
    if books is not None:
        problems += books.faults()
    return DrillResult(
        drill=drill.name,
        did=drill.about,
        agent=scene.agent,
        lasted_s=(scene.healed_ns - scene.struck_ns) / SECOND_NS if scene.seconds else 0.0,
        detected_s=(sign.at_ns - scene.struck_ns) / SECOND_NS if sign is not None else None,
        sign="" if sign is None else sign.text,
        again_s=again,
        target_s=drill.target_s,
        orders_before=before,
        orders_after=before if books is None else books.orders,
        duplicates=0 if books is None else len(books.doubled),
        lost=0 if books is None else books.lost,
        cash_gap_e6=None if books is None else books.cash_gap_e6,
        notes=tuple(scene.notes),
        problems=tuple(problems),
        at=at,
    )
