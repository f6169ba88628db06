"""From a strategy's wish for protection to conditional orders, or the reason why not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from engine.intents import reason_fault
from engine.refusals import Refusal
from models.conditional import Condition, ConditionKind, ConditionState
from models.markets import Market, Outcome
from models.orders import OrderRequest
from models.units import PRICE_ONE, SECOND_NS
from strategies.base import Place, Protect

LAST_EXIT_S = 5
"""A time exit later than this before the window's end would find nobody awake."""

Conditions = tuple[Condition, ...]


def conditions_of_place(
    place: Place, request: OrderRequest, market: Market, now_ns: int
) -> Conditions | Refusal:
    """Return the guards of one purchase; none when the wish names none."""
    stop, take = place.stop_loss_e4, place.take_profit_e4
    if stop is None and take is None:
        return ()
    if request.side.value != "BUY":
        return Refusal("invalid", "stop_loss_e4 and take_profit_e4 belong to a BUY")
    if fault := _prices_fault(stop, take, market):
        return Refusal("invalid", fault)
    if stop is not None and stop >= request.price_e4:
        text = f"stop_loss_e4={stop} is not below the price {request.price_e4}"
        return Refusal("invalid", text)
    if take is not None and take <= request.price_e4:
        text = f"take_profit_e4={take} is not above the price {request.price_e4}"
        return Refusal("invalid", text)
    base = _Base(request.agent, market, place.outcome, request.intent_id, now_ns)
    made = base.priced(stop, take)
    return tuple(replace(one, intent_id=request.intent_id, reason=place.reason) for one in made)


def conditions_of_protect(
    protect: Protect, market: Market, agent: str, group_id: str, now_ns: int
) -> Conditions | Refusal:
    """Return the guards of a position; none when the wish only takes earlier ones away."""
    if fault := _protect_fault(protect, market):
        return Refusal("invalid", fault)
    due_ns = _due_ns(protect, market, now_ns)
    if due_ns is not None and due_ns > market.end_ns - LAST_EXIT_S * SECOND_NS:
        text = f"the exit must come at least {LAST_EXIT_S} s before the window's end"
        return Refusal("invalid", text)
    base = _Base(agent, market, protect.outcome, group_id, now_ns)
    made = list(base.priced(protect.stop_loss_e4, protect.take_profit_e4))
    if protect.trail_bps is not None:
        made.append(base.one(ConditionKind.TRAILING_STOP, trail_bps=protect.trail_bps))
    if due_ns is not None:
        made.append(base.one(ConditionKind.TIME_EXIT, due_ns=due_ns))
    return tuple(
        replace(
            one,
            size_e6=protect.size_e6,
            slippage_ticks=protect.slippage_ticks,
            reason=protect.reason,
        )
        for one in made
    )


def same(wished: Sequence[Condition], standing: Sequence[Condition]) -> bool:
    """Whether a wish asks for what stands already, so that saying it again changes nothing."""

    def key(one: Condition) -> tuple[object, ...]:
        return one.kind, one.trigger_e4, one.trail_bps, one.size_e6, one.slippage_ticks

    if sorted(map(repr, map(key, wished))) != sorted(map(repr, map(key, standing))):
        return False
    due, was = _timed(wished), _timed(standing)
    if due is None or was is None or due.due_ns is None or was.due_ns is None:
        return due is was
    return due.due_ns == was.due_ns or due.due_ns - due.created_ns == was.due_ns - was.created_ns


def _timed(conditions: Sequence[Condition]) -> Condition | None:
    return next((one for one in conditions if one.kind is ConditionKind.TIME_EXIT), None)


def _due_ns(protect: Protect, market: Market, now_ns: int) -> int | None:
    due: list[int] = []
    if protect.exit_after_s is not None:
        due.append(now_ns + round(protect.exit_after_s * SECOND_NS))
    if protect.exit_left_s is not None:
        due.append(market.end_ns - round(protect.exit_left_s * SECOND_NS))
    return min(due) if due else None


def _protect_fault(protect: Protect, market: Market) -> str:
    if not isinstance(protect.outcome, Outcome):
        return f"outcome={protect.outcome!r}: use Outcome"
    if fault := _prices_fault(protect.stop_loss_e4, protect.take_profit_e4, market):
        return fault
    trail, size = protect.trail_bps, protect.size_e6
    if trail is not None and (type(trail) is not int or not 0 < trail < 10_000):
        return f"trail_bps={trail!r} must be a whole number from 1 to 9999"
    if size is not None and (type(size) is not int or size <= 0):
        return f"size_e6={size!r} must be a whole number above zero"
    if type(protect.slippage_ticks) is not int or protect.slippage_ticks < 0:
        return f"slippage_ticks={protect.slippage_ticks!r} must be a whole number of at least 0"
    for name in ("exit_after_s", "exit_left_s"):
        value = getattr(protect, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and isfinite(value) and value > 0):
            return f"{name}={value!r} must be a number of seconds above zero"
    return reason_fault(protect.reason)


def _prices_fault(stop: object, take: object, market: Market) -> str:
    tick = market.tick_e4
    for name, price in (("stop_loss_e4", stop), ("take_profit_e4", take)):
        if price is None:
            continue
        if type(price) is not int or not tick <= price <= PRICE_ONE - tick:
            return f"{name}={price!r} must be a whole number from {tick} to {PRICE_ONE - tick}"
        if price % tick:
            return f"{name}={price} is not a multiple of the tick {tick}"
    if type(stop) is int and type(take) is int and stop >= take:
        return f"stop_loss_e4={stop} is not below take_profit_e4={take}"
    return ""


@dataclass(frozen=True, slots=True)
class _Base:
    """What the conditions of one wish share."""

    agent: str
    market: Market
    outcome: Outcome
    group_id: str
    now_ns: int

    def one(
        self,
        kind: ConditionKind,
        trigger_e4: int | None = None,
        trail_bps: int | None = None,
        due_ns: int | None = None,
    ) -> Condition:
        return Condition(
            id=f"{self.group_id}-{kind}",
            group_id=self.group_id,
            agent=self.agent,
            condition_id=self.market.condition_id,
            token_id=self.market.token(self.outcome),
            outcome=self.outcome,
            kind=kind,
            trigger_e4=trigger_e4,
            trail_bps=trail_bps,
            due_ns=due_ns,
            state=ConditionState.ARMED,
            created_ns=self.now_ns,
            updated_ns=self.now_ns,
        )

    def priced(self, stop: int | None, take: int | None) -> Conditions:
        made = []
        if stop is not None:
            made.append(self.one(ConditionKind.STOP_LOSS, trigger_e4=stop))
        if take is not None:
            made.append(self.one(ConditionKind.TAKE_PROFIT, trigger_e4=take))
        return tuple(made)
