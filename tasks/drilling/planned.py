"""Drills on what people and sessions do on purpose: draining, handing over, giving up."""

import asyncio
import time

from models.agents import AgentStatus
from models.errors import NotReady, StoreUnavailable
from models.units import SECOND_NS
from store import agents, state
from tasks.drilling import harm
from tasks.drilling.scene import Drill, Expect, Scene
from tasks.drilling.stage import Accepted
from tasks.session_handover import handover_key

GAP_S = 2.0
"""A planned hand-over may leave the market without our quotes for at most this long."""
AROUND_S = 10.0
"""Quotes are looked at this long before and after a hand-over."""
LAST_S = 30.0
"""Agents stop quoting so long before a window ends, handed over or not."""
EARLY_S = 900.0
DRAINED_S = 60.0
LOOP_ROUNDS = 5
"""Real restarts of the crash loop; earlier ones are written into the ledger by the drill."""
ROUND_S = 150.0
PAUSED_S = 120.0
ALERTS_S = 35.0
"""A second alert about one pause would come within a round of the supervisor."""
POLL_S = 0.2


# --- draining -----------------------------------------------------------------------------------


async def drain(scene: Scene) -> None:
    """Halt the floor, wait until no session and no order is left, then lift the halt."""
    stage = scene.stage
    scene.later("the halt", lambda: state.clear_halt(stage.database))
    await state.set_halt(stage.database, "a drill")
    began = time.monotonic()
    while time.monotonic() - began < DRAINED_S:
        held = [lease for lease in (await stage.leases()).values() if lease.live]
        left = [one for one in await stage.accepted(1000) if one.open]
        if not held and not left:
            scene.note(f"no session and no order left after {time.monotonic() - began:.1f} s")
            return
        await asyncio.sleep(POLL_S)
    scene.fail(f"{len(held)} sessions and {len(left)} orders were left after {DRAINED_S:.0f} s")


# --- handing over -------------------------------------------------------------------------------


async def hand_over(scene: Scene) -> None:
    """Tell the session, early in a window, that its time is over, as its own clock would."""
    stage, key = scene.stage, handover_key(scene.agent)
    deadline = time.monotonic() + EARLY_S
    while time.monotonic() < deadline:
        begin_ns, end_ns = await _window_at(scene, time.time_ns())
        if begin_ns and time.time_ns() - begin_ns < (end_ns - begin_ns) // 3:
            break
        await asyncio.sleep(POLL_S)
    lease = (await stage.leases())[scene.agent]
    scene.struck_ns = time.time_ns()
    scene.token = lease.token
    scene.later("the wish to hand over", lambda: _forget(scene, key))
    await state.put(stage.database, key, lease.flow_run_id)


async def _window_at(scene: Scene, ns: int) -> tuple[int, int]:
    """Return begin and end of the window the agent traded at a moment; zeros for none."""
    rows = await scene.stage.query(
        "SELECT (extract(epoch FROM starts_at) * 1000000)::bigint AS begins,"
        " (extract(epoch FROM ends_at) * 1000000)::bigint AS ends FROM markets m"
        " WHERE to_timestamp(%s) >= starts_at AND to_timestamp(%s) < ends_at AND EXISTS"
        " (SELECT 1 FROM orders o WHERE o.agent = %s AND o.condition_id = m.condition_id)"
        " ORDER BY starts_at DESC LIMIT 1",
        [ns / SECOND_NS, ns / SECOND_NS, scene.agent],
    )
    return (rows[0]["begins"] * 1000, rows[0]["ends"] * 1000) if rows else (0, 0)


async def _forget(scene: Scene, key: str) -> None:
    await state.delete(scene.stage.database, key)


async def quotes_without_gap(scene: Scene) -> None:
    """Fail where no quote of the agent rested for too long around the change of sessions."""
    try:
        (row,) = await scene.stage.query(
            "SELECT (extract(epoch FROM acquired_at) * 1000000)::bigint AS us"
            " FROM agent_leases WHERE agent = %s",
            [scene.agent],
        )
    except StoreUnavailable as error:
        scene.fail(f"the moment of the hand-over is not known: {error}")
        return
    changed_ns = row["us"] * 1000
    await asyncio.sleep(max(0.0, AROUND_S - (time.time_ns() - changed_ns) / SECOND_NS))
    orders = [
        one
        for one in await scene.stage.accepted(2000)
        if scene.stage.agent_of_key.get(one.key) == scene.agent
    ]
    around = int(AROUND_S * SECOND_NS)
    _, end_ns = await _window_at(scene, changed_ns)
    until_ns = min(changed_ns + around, end_ns - int(LAST_S * SECOND_NS))
    if until_ns < changed_ns + around // 2:
        scene.note(f"handed over in the last {LAST_S:g} s of a window: no gap could be measured")
        return
    before = longest_gap_s(orders, changed_ns - 3 * around, changed_ns - around // 5)
    gap = longest_gap_s(orders, changed_ns - around // 5, until_ns)
    scene.note(f"longest time without a quote: {gap:.2f} s (before the hand-over {before:.2f} s)")
    if gap > max(GAP_S, before):
        scene.fail(f"no quote rested for {gap:.1f} s; {GAP_S:g} s are allowed")


def longest_gap_s(orders: list[Accepted], from_ns: int, until_ns: int) -> float:
    """Return the longest time between two moments, in seconds, in which no order rested."""
    spans = sorted(
        (max(one.created_ns, from_ns), until_ns if one.open else min(one.updated_ns, until_ns))
        for one in orders
    )
    longest, covered = 0, from_ns
    for begin, end in spans:
        if end <= from_ns or begin >= until_ns:
            continue
        longest = max(longest, begin - covered)
        covered = max(covered, end)
    return max(longest, until_ns - covered, 0) / SECOND_NS


# --- crashing again and again -------------------------------------------------------------------


async def crash_loop(scene: Scene) -> None:
    """Kill every new session at once until the agent is paused; then resume it."""
    stage, agent = scene.stage, scene.agent
    limit = stage.settings.max_restarts_per_hour
    scene.later("the agent's pause", lambda: agents.resume(stage.database, agent))
    rounds = limit + 1 if scene.full else min(LOOP_ROUNDS, limit + 1)
    if earlier := limit + 1 - rounds:
        await _earlier_restarts(scene, earlier)
        scene.note(f"{earlier} restarts of the last hour were written by the drill")
    alerts: list[str] = []
    listening = asyncio.create_task(_listen(scene, alerts), name="alerts")
    try:
        await _kill_until_paused(scene, rounds)
        await _wait_for_pause(scene)
        await asyncio.sleep(ALERTS_S)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    scene.note(f"{len(alerts)} alerts about it on the floor's channel")
    if len(alerts) > 1:
        scene.fail(f"people were told {len(alerts)} times of one pause")


async def _listen(scene: Scene, alerts: list[str]) -> None:
    async for message in scene.stage.bus.messages():
        if message.get("kind") == "breaker" and message.get("agent") == scene.agent:
            alerts.append(str(message.get("text")))


async def _kill_until_paused(scene: Scene, rounds: int) -> None:
    ready: list[float] = []
    token = 0
    for _ in range(rounds):
        token, took = await _kill_next(scene, token)
        if took is None:
            break
        ready.append(took)
    scene.note("a new session ran after " + ", ".join(f"{one:.0f} s" for one in ready[1:]))
    if len(ready) > 3 and ready[-1] <= ready[1]:
        scene.fail("restarts in a row were not held back longer and longer")


async def _earlier_restarts(scene: Scene, count: int) -> None:
    """Write restarts so long ago that they count for the hour, but for no row of restarts."""
    await scene.stage.query(
        "INSERT INTO agent_restarts (agent, restarted_at, reason)"
        " SELECT %s, clock_timestamp() - (600 + 400 * n) * interval '1 second', 'a drill'"
        " FROM generate_series(0, %s) AS n",
        [scene.agent, min(count, 8) - 1],
    )


async def _kill_next(scene: Scene, after: int) -> tuple[int, float | None]:
    """Kill the first session with a token above `after` that runs; returns how long it took.

    None instead of a time once the agent is paused.
    """
    began = time.monotonic()
    while time.monotonic() - began < ROUND_S:
        if await _paused_reason(scene):
            return after, None
        lease = (await scene.stage.leases())[scene.agent]
        beat = (await scene.stage.heartbeats()).get(scene.agent, {})
        if lease.live and lease.token > after and beat.get("token") == lease.token:
            harm.kill([await scene.stage.trader(scene.agent)])
            return lease.token, time.monotonic() - began
        await asyncio.sleep(POLL_S)
    raise NotReady(f"{scene.agent} neither ran nor was paused within {ROUND_S:.0f} s")


async def _wait_for_pause(scene: Scene) -> None:
    deadline = time.monotonic() + PAUSED_S
    while time.monotonic() < deadline:
        if reason := await _paused_reason(scene):
            scene.note(f"paused: {reason}")
            if "resume" not in reason:
                scene.fail("the pause does not say how to resume the agent")
            return
        await asyncio.sleep(1.0)
    scene.fail(f"the agent was not paused within {PAUSED_S:.0f} s of its last death")


async def _paused_reason(scene: Scene) -> str:
    (row,) = await scene.stage.query(
        "SELECT status, status_reason FROM agents WHERE name = %s", [scene.agent]
    )
    return row["status_reason"] if row["status"] == AgentStatus.PAUSED.value else ""


DRILLS = (
    Drill(
        "drain",
        "the floor is halted, then the halt is lifted",
        drain,
        Expect.AFTER,
        target_s=60,
        sign="^lease",
    ),
    Drill(
        "handover",
        "the session is told that its time is over, and hands over to its successor",
        hand_over,
        Expect.REPLACED,
        target_s=120,
        until_again=True,
        probe=quotes_without_gap,
    ),
    Drill(
        "crash-loop",
        "every new session is killed until the agent is paused, then it is resumed",
        crash_loop,
        Expect.AFTER,
        target_s=60,
        sign="^restart",
        slow=True,
        keeps_budget=True,
    ),
)
