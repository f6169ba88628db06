"""Switching faults on and off: those that act once, and those that sockets must be told of."""

from typing import TYPE_CHECKING, Any

import structlog

from models.errors import BadValue
from models.markets import Outcome
from models.units import to_price_e4, to_size_e6
from venue.simulator.bank import PROVIDER
from venue.simulator.errors import bad

if TYPE_CHECKING:
    from venue.simulator.windows import Window
    from venue.simulator.world import World

log = structlog.get_logger(__name__)
TICKS = (1000, 100, 50, 25, 10, 1)


def switch_on(world: "World", name: str, params: dict[str, Any]) -> None:
    """Start a fault. Raises Refusal 400 for an unknown name or parameter."""
    now = world.now()
    if name == "ws-drop":
        dropped = sum(hub.drop_all() for hub in world.hubs())
        log.warning("fault", name=name, connections=dropped)
        return
    if name == "key-revoked":
        for key in list(world.keyring.all()):
            world.revoke_key(key)
        log.warning("fault", name=name)
        return
    if name == "tick-change":
        _change_tick(world, params)
        return
    if name == "partial-fak":
        _check_shares(params)
    world.faults.set(name, params, now)
    apply(world)
    fault = world.faults.get(name, now)
    if fault is not None and fault.until_ns is not None:
        world.schedule.at(fault.until_ns, lambda due: apply(world))
    log.warning("fault", name=name, **params)


def switch_off(world: "World", name: str | None) -> None:
    """End one fault, or all."""
    world.faults.clear(name)
    apply(world)


def apply(world: "World") -> None:
    """Tell the sockets which faults are on."""
    frozen = world.fault_on("ws-freeze")
    world.tape.channel.hub.faults.frozen = frozen
    world.users.hub.faults.frozen = frozen
    world.users.hub.faults.duplicate = world.fault_on("duplicate-events")
    stalled = frozen or world.fault_on("rtds-stall")
    world.prices.hub.faults.frozen = stalled
    world.live.hub.faults.frozen = stalled


def thin(world: "World", window: "Window") -> None:
    """While `partial-fak` is on: leave a little at the best prices, until the source moves."""
    now = world.now()
    fault = world.faults.take("partial-fak", now)
    if fault is None:
        return
    most_e6 = to_size_e6(fault.params.get("shares", 2))
    sides = [
        [(price, min(size, most_e6)) for price, size in levels[:1]]
        for levels in world.exchange.book(window.condition_id, Outcome.UP)
    ]
    events = world.exchange.impose(window.condition_id, PROVIDER, sides[0], sides[1], now)
    world.clerk.absorb(events, now)


def _change_tick(world: "World", params: dict[str, Any]) -> None:
    window = world.registry.by_slug.get(str(params.get("slug")))
    if window is None or window.closed:
        raise bad(f"slug={params.get('slug')!r} is no open market")
    try:
        tick_e4 = to_price_e4(params.get("tick", "0.001"))
    except BadValue as error:
        raise bad(f"tick: {error}") from None
    if tick_e4 not in TICKS:
        raise bad(f"tick={params.get('tick')!r} is not one of the venue's tick sizes")
    now = world.now()
    world.clerk.absorb(world.exchange.set_tick(window.condition_id, tick_e4), now)
    log.warning("fault", name="tick-change", slug=window.market.slug, tick_e4=tick_e4)


def _check_shares(params: dict[str, Any]) -> None:
    try:
        wanted = to_size_e6(params.get("shares", 2))
    except (BadValue, TypeError) as error:
        raise bad(f"shares: {error}") from None
    if wanted <= 0:
        raise bad(f"shares={params['shares']!r} must be positive")
