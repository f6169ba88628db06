"""Drills on the venue: its engine restarts, its modes, its streams, its clock."""

from typing import Any

from models.errors import StoreUnavailable
from models.units import SECOND_NS
from tasks.drilling.scene import Drill, Expect, Scene, Strike

PULL_S = 1.0
"""Quotes must be gone so soon after their data turned stale."""
STANDS = r"^(event (placing_paused|feed|venue)|heartbeat says|log traders: placing_paused)"
STALE = r"^(event (feed|stale|data)|heartbeat says suspended)"


def fault(name: str, **params: Any) -> Strike:
    async def strike(scene: Scene) -> None:
        scene.later(f"fault {name}", lambda: scene.stage.clear_fault(name))
        await scene.stage.fault(name, **params)

    return strike


async def quotes_pulled_in_time(scene: Scene) -> None:
    """Fail where an order outlived the moment its data turned stale by more than a second."""
    try:
        rows = await scene.stage.query(
            "SELECT (extract(epoch FROM ts) * 1000000)::bigint AS us, kind, detail"
            " FROM system_events WHERE agent = %s AND ts >= to_timestamp(%s)"
            " AND (kind IN ('stale', 'data_stale', 'quotes_pulled')"
            "      OR kind = 'feed' AND detail->>'state' IN ('stale', 'down'))"
            " ORDER BY ts LIMIT 1",
            (scene.agent, scene.struck_ns / SECOND_NS),
        )
    except StoreUnavailable as error:
        scene.fail(f"the moment data turned stale is not known: {error}")
        return
    if not rows:
        scene.fail("nobody noticed that data turned stale")
        return
    stale_ns = rows[0]["us"] * 1000
    if stale_ns > scene.healed_ns > 0:
        scene.fail("data turned stale for us only after the fault was over")
        return
    until_ns = scene.healed_ns or stale_ns + 60 * SECOND_NS
    orders = [
        one
        for one in await scene.stage.accepted(1000)
        if scene.stage.agent_of_key.get(one.key) == scene.agent
    ]
    resting = [one for one in orders if one.created_ns < stale_ns and _end_ns(one) > stale_ns]
    slow = [one for one in resting if _end_ns(one) > stale_ns + PULL_S * SECOND_NS]
    noticed = (stale_ns - scene.struck_ns) / SECOND_NS
    scene.note(f"data turned stale for us {noticed:.1f} s after the fault ({rows[0]['kind']})")
    if resting:
        last = max(_end_ns(one) for one in resting)
        shown = f"{(last - stale_ns) / SECOND_NS:.2f} s later" if not slow else "too late"
        scene.note(f"{len(resting)} quotes rested then; the last was gone {shown}")
    else:
        scene.note("no quote rested at that moment")
    for one in slow:
        scene.fail(f"order {one.order_id[:18]} rested on stale data for more than {PULL_S:g} s")
    new = [one for one in orders if stale_ns + PULL_S * SECOND_NS < one.created_ns < until_ns]
    if new:
        scene.fail(f"{len(new)} orders were placed on stale data")


def _end_ns(order: Any) -> int:
    return 2**63 if order.open else int(order.updated_ns)


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
        "the venue's clock runs 30 s ahead",
        fault("clock-skew"),
        Expect.THROUGH,
        target_s=60,
        lasts_s=30,
        full_s=120,
        sign=r"^(event .*clock|heartbeat says suspended|log traders: .*clock)",
    ),
)
