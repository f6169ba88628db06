"""Drills on the venue: its engine restarts, its modes, its streams, its clock."""

import time
from collections.abc import Sequence
from typing import Any

from models.errors import StoreUnavailable
from models.units import SECOND_NS
from tasks.drilling.scene import Drill, Expect, Scene, Strike
from tasks.drilling.stage import Accepted

PULL_S = 1.0
"""Quotes must be gone so soon after their data turned stale."""
STANDS = r"^(event (placing_paused|feed|venue)|heartbeat says|log traders: placing_paused)"
STALE = r"^(event (feed|stale|data)|heartbeat says suspended)"

_FEED = """
    SELECT (extract(epoch FROM ts) * 1000000)::bigint AS us, detail->>'channel' AS channel,
           detail->>'state' AS state
    FROM system_events
    WHERE kind = 'feed' AND detail->>'channel' <> 'user' AND agent = %s AND ts >= to_timestamp(%s)
    ORDER BY ts
"""


def fault(name: str, **params: Any) -> Strike:
    async def strike(scene: Scene) -> None:
        scene.later(f"fault {name}", lambda: scene.stage.clear_fault(name))
        await scene.stage.fault(name, **params)

    return strike


async def quotes_pulled_in_time(scene: Scene) -> None:
    """Fail where an order outlived the moment its data turned stale by more than a second."""
    try:
        events = await scene.stage.query(_FEED, (scene.agent, scene.struck_ns / SECOND_NS))
    except StoreUnavailable as error:
        scene.fail(f"the moment data turned stale is not known: {error}")
        return
    until_ns = scene.healed_ns or time.time_ns()
    news = [(row["us"] * 1000, row["channel"], row["state"] == "up") for row in events]
    spans = stale_spans(news, until_ns)
    if not spans:
        scene.fail("nobody noticed that data turned stale")
        return
    orders = [
        one
        for one in await scene.stage.accepted(1000)
        if scene.stage.agent_of_key.get(one.key) == scene.agent
    ]
    scene.note(
        f"data turned stale {(spans[0][0] - scene.struck_ns) / SECOND_NS:.1f} s after the fault, "
        f"{len(spans)} times in all"
    )
    ends = [
        _end_ns(one)
        for one in orders
        if one.created_ns < spans[0][0] and _end_ns(one) > scene.struck_ns
    ]
    if ends:
        pulled = (max(ends) - spans[0][0]) / SECOND_NS
        when = "before" if pulled < 0 else "after"
        scene.note(f"the last quote was gone {abs(pulled):.2f} s {when} that")
    for begin_ns, end_ns in spans:
        left = min(begin_ns + int(PULL_S * SECOND_NS), end_ns)
        slow = sum(one.created_ns < begin_ns and _end_ns(one) > left < end_ns for one in orders)
        new = sum(left < one.created_ns < end_ns for one in orders)
        if slow:
            scene.fail(f"{slow} orders rested on stale data for more than {PULL_S:g} s")
        if new:
            scene.fail(f"{new} orders were placed on stale data")


def stale_spans(events: Sequence[tuple[int, str, bool]], until_ns: int) -> list[tuple[int, int]]:
    """Return from when to when some channel was stale, in nanoseconds.

    Parameters
    ----------
    events
        When which channel changed, and whether it is up since; oldest first.
    until_ns
        The end: what is stale then ends here.
    """
    stale: set[str] = set()
    spans: list[tuple[int, int]] = []
    begin_ns = 0
    for at_ns, channel, up in events:
        if at_ns >= until_ns:
            break
        was = bool(stale)
        (stale.discard if up else stale.add)(channel)
        if stale and not was:
            begin_ns = at_ns
        elif was and not stale:
            spans.append((begin_ns, at_ns))
    return [*spans, (begin_ns, until_ns)] if stale else spans


def _end_ns(order: Accepted) -> int:
    return 2**63 if order.open else order.updated_ns


DRILLS = (
    Drill(
        "venue-425",
        "the venue's engine restarts: 425 on every order call",
        fault("engine-restart", seconds=3600),
        Expect.AFTER,
        target_s=60,
        lasts_s=20,
        full_s=90,
        sign=STANDS,
    ),
    Drill(
        "venue-post-only",
        "the venue takes post-only orders and cancels alone",
        fault("post-only", seconds=3600),
        Expect.THROUGH,
        target_s=60,
        lasts_s=30,
        full_s=120,
        sign=STANDS,
    ),
    Drill(
        "venue-cancel-only",
        "the venue takes cancels alone",
        fault("cancel-only"),
        Expect.AFTER,
        target_s=60,
        lasts_s=20,
        full_s=120,
        sign=STANDS,
    ),
    Drill(
        "venue-ws-freeze",
        "WebSockets stay open and answer PING, but carry no data",
        fault("ws-freeze"),
        Expect.AFTER,
        target_s=60,
        lasts_s=45,
        full_s=90,
        sign=STALE,
        probe=quotes_pulled_in_time,
    ),
    Drill(
        "rtds-stall",
        "the streams of spot prices stay open and carry nothing",
        fault("rtds-stall"),
        Expect.AFTER,
        target_s=60,
        lasts_s=45,
        full_s=90,
        sign=STALE,
        probe=quotes_pulled_in_time,
    ),
    Drill(
        "clock-skew",
        "the venue's clock runs 30 s ahead: our two clocks disagree, which trips a breaker",
        fault("clock-skew"),
        Expect.AFTER,
        target_s=180,
        lasts_s=30,
        full_s=120,
        sign=r"^(event .*clock|heartbeat says suspended|log (traders|ops): .*(clock|breaker))",
    ),
)
