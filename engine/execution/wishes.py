"""From a strategy's `Execute` to a parent order, or the reason why not. Pure."""

from math import isfinite

from engine.intents import reason_fault, share_fault
from engine.refusals import Refusal
from models.execution import Algo, AtEnd, Execution
from models.markets import Market, Outcome, Side
from models.units import PRICE_ONE, SECOND_NS
from risk.sizing import whole_e6
from strategies.base import Execute

LAST_S = 5
"""An execution ends at least so long before its window does."""
MOST_SLICES = 1_000
MOST_PARTS = 1_000


def execution_of(
    execute: Execute, market: Market, agent: str, execution_id: str, now_ns: int
) -> Execution | Refusal:
    """Turn a wish into a parent order that ends within its window."""
    if fault := _fault(execute, market) or _plan_fault(execute, market):
        return Refusal("invalid", fault)
    last_ns = market.end_ns - LAST_S * SECOND_NS
    end_ns = last_ns
    if execute.duration_s is not None:
        end_ns = min(last_ns, now_ns + round(execute.duration_s * SECOND_NS))
    if end_ns - now_ns < SECOND_NS:
        return Refusal("closed", f"{market.slug} leaves no time to execute anything")
    return Execution(
        id=execution_id,
        agent=agent,
        condition_id=market.condition_id,
        token_id=market.token(execute.outcome),
        outcome=execute.outcome,
        side=execute.side,
        algo=execute.algo,
        size_e6=whole_e6(execute.size_e6),
        start_ns=now_ns,
        end_ns=end_ns,
        price_e4=execute.price_e4,
        at_end=execute.at_end,
        plan={
            "slices": execute.slices,
            "profile": list(execute.profile),
            "participation": execute.participation,
            "show_e6": execute.show_e6,
            "patience_s": execute.patience_s,
        },
        reason=execute.reason,
        updated_ns=now_ns,
    )


def _fault(execute: Execute, market: Market) -> str:
    for name, kind in (("algo", Algo), ("outcome", Outcome), ("side", Side), ("at_end", AtEnd)):
        if not isinstance(getattr(execute, name), kind):
            return f"{name}={getattr(execute, name)!r} is not an {kind.__name__}"
    size, price, tick = execute.size_e6, execute.price_e4, market.tick_e4
    if type(size) is not int or size <= 0:
        return f"size_e6={size!r} must be a whole number above zero"
    if size < market.min_size_e6:
        return f"size_e6={size} is below the market's minimum of {market.min_size_e6}"
    if price is not None and (
        type(price) is not int or not tick <= price <= PRICE_ONE - tick or price % tick
    ):
        return f"price_e4={price!r} must be a multiple of {tick} up to {PRICE_ONE - tick}"
    if execute.duration_s is not None and not (_number(execute.duration_s) >= 1):
        return f"duration_s={execute.duration_s!r} must be at least 1"
    if fault := reason_fault(execute.reason):
        return fault
    return share_fault(
        confidence=execute.confidence,
        probability=execute.probability,
        participation=execute.participation,
    )


def _plan_fault(execute: Execute, market: Market) -> str:
    slices, show, patience = execute.slices, execute.show_e6, execute.patience_s
    if type(slices) is not int or not 1 <= slices <= MOST_SLICES:
        return f"slices={slices!r} must be a whole number from 1 to {MOST_SLICES}"
    if not _number(patience) >= 0:
        return f"patience_s={patience!r} must be a number of at least 0"
    if not isinstance(execute.profile, tuple) or len(execute.profile) > MOST_PARTS:
        return f"profile={execute.profile!r:.60} must be a tuple of at most {MOST_PARTS} weights"
    if any(not 0 <= _number(weight) <= 1e6 for weight in execute.profile):
        return "profile: every weight must be a number from 0 to a million"
    if execute.profile and sum(execute.profile) < 1e-3:
        return "profile: its weights add up to nothing"
    if execute.algo is Algo.ICEBERG and execute.price_e4 is None:
        return "an iceberg rests at price_e4: give it one"
    if execute.algo is Algo.ICEBERG and (type(show) is not int or show < market.min_size_e6):
        return f"show_e6={show!r} must be at least the market's minimum {market.min_size_e6}"
    if show is not None and type(show) is not int:
        return f"show_e6={show!r} must be a whole number"
    return ""


def _number(value: object) -> float:
    """The value if it is a finite number, else minus one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    return -1.0
