"""Conditional orders and executions in Postgres: statements, rows, and the way back."""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import DictRow

from models.conditional import Condition, ConditionKind, ConditionState
from models.execution import Algo, AtEnd, Execution, ExecutionState
from models.markets import Market, Outcome, Side
from models.tables.columns import from_ns, to_ns
from models.units import price_decimal, size_decimal
from store.journal_sql import LATE, LEASE, MARKET_COLUMNS, MARKET_VALUES, VERSION
from store.rows import e4, e6, json_text, market_params, optional_ns

_MARKET = f"""
    market AS (
        INSERT INTO markets ({MARKET_COLUMNS}) SELECT {MARKET_VALUES} FROM lease
        ON CONFLICT (condition_id) DO NOTHING
    )
"""  # noqa: S608

# A state is never taken back: what is over stays over, and a late write of a former state is void.
_CONDITIONS_CHANGED = f"""
    {_MARKET}, done AS (
        INSERT INTO conditional_orders AS known (
            id, group_id, agent, condition_id, token_id, outcome, kind, trigger_price, trail_bps,
            high_price, due_at, size, slippage_ticks, intent_id, reason, state, note, created_at,
            updated_at, triggered_at, written_token, written_seq
        )
        SELECT row.id, row.group_id, %(agent)s, %(condition_id)s, row.token_id, row.outcome,
            row.kind, row.trigger_price, row.trail_bps, row.high_price, row.due_at, row.size,
            row.slippage_ticks, row.intent_id, row.reason, row.state, row.note, row.created_at,
            row.updated_at, row.triggered_at, {VERSION}
        FROM lease, unnest(
            %(ids)s::text[], %(groups)s::text[], %(tokens)s::text[], %(outcomes)s::text[],
            %(kinds)s::text[], %(triggers)s::numeric[], %(trails)s::integer[],
            %(highs)s::numeric[], %(dues)s::timestamptz[], %(sizes)s::numeric[],
            %(slippages)s::integer[], %(intents)s::text[], %(reasons)s::text[], %(states)s::text[],
            %(notes)s::text[], %(createds)s::timestamptz[], %(updateds)s::timestamptz[],
            %(triggereds)s::timestamptz[]
        ) AS row (
            id, group_id, token_id, outcome, kind, trigger_price, trail_bps, high_price, due_at,
            size, slippage_ticks, intent_id, reason, state, note, created_at, updated_at,
            triggered_at
        )
        ON CONFLICT (id) DO UPDATE SET
            high_price = excluded.high_price, size = excluded.size, state = excluded.state,
            note = excluded.note, updated_at = excluded.updated_at,
            triggered_at = excluded.triggered_at, written_token = excluded.written_token,
            written_seq = excluded.written_seq
        WHERE known.agent = excluded.agent
          AND (known.written_token, known.written_seq)
            < (excluded.written_token, excluded.written_seq)
          AND (known.state = 'armed' OR known.state = 'triggered' AND excluded.state <> 'armed')
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM lease) AS held
"""  # noqa: S608

CONDITIONS_CHANGED = f"WITH lease AS ({LEASE} FOR SHARE), {_CONDITIONS_CHANGED}"
CONDITIONS_CHANGED_LATE = f"WITH lease AS ({LATE}), {_CONDITIONS_CHANGED}"

_EXECUTION_CHANGED = f"""
    {_MARKET}, done AS (
        INSERT INTO executions AS known (
            id, agent, condition_id, token_id, outcome, side, algo, size, starts_at, ends_at,
            price, at_end, plan, progress, reason, state, note, updated_at, written_token,
            written_seq
        )
        SELECT %(id)s, %(agent)s, %(condition_id)s, %(token_id)s, %(outcome)s, %(side)s,
            %(algo)s, %(size)s, %(execution_starts_at)s, %(execution_ends_at)s,
            %(price)s::numeric, %(at_end)s, %(plan)s::jsonb, %(progress)s::jsonb, %(reason)s,
            %(state)s, %(note)s, %(updated_at)s, {VERSION}
        FROM lease
        ON CONFLICT (id) DO UPDATE SET
            progress = excluded.progress, state = excluded.state, note = excluded.note,
            updated_at = excluded.updated_at, written_token = excluded.written_token,
            written_seq = excluded.written_seq
        WHERE known.agent = excluded.agent AND known.state = 'working'
          AND (known.written_token, known.written_seq)
            < (excluded.written_token, excluded.written_seq)
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM lease) AS held
"""  # noqa: S608

EXECUTION_CHANGED = f"WITH lease AS ({LEASE} FOR SHARE), {_EXECUTION_CHANGED}"
EXECUTION_CHANGED_LATE = f"WITH lease AS ({LATE}), {_EXECUTION_CHANGED}"

LIVE_CONDITIONS = """
    SELECT * FROM conditional_orders
    WHERE agent = %(agent)s AND state IN ('armed', 'triggered')
    ORDER BY created_at, id
"""

WORKING_EXECUTIONS = """
    SELECT * FROM executions WHERE agent = %(agent)s AND state = 'working'
    ORDER BY starts_at, id
"""


def conditions_params(changed: Sequence[Condition], market: Market) -> dict[str, Any]:
    """Parameters of `CONDITIONS_CHANGED`, without the lease's and the version's."""
    return market_params(market) | {
        "ids": [one.id for one in changed],
        "groups": [one.group_id for one in changed],
        "tokens": [one.token_id for one in changed],
        "outcomes": [one.outcome.value for one in changed],
        "kinds": [one.kind.value for one in changed],
        "triggers": [_price(one.trigger_e4) for one in changed],
        "trails": [one.trail_bps for one in changed],
        "highs": [_price(one.high_e4) for one in changed],
        "dues": [_time(one.due_ns) for one in changed],
        "sizes": [None if one.size_e6 is None else size_decimal(one.size_e6) for one in changed],
        "slippages": [one.slippage_ticks for one in changed],
        "intents": [one.intent_id for one in changed],
        "reasons": [one.reason for one in changed],
        "states": [one.state.value for one in changed],
        "notes": [one.note for one in changed],
        "createds": [from_ns(one.created_ns) for one in changed],
        "updateds": [from_ns(one.updated_ns) for one in changed],
        "triggereds": [_time(one.triggered_ns) for one in changed],
    }


def condition_of(row: DictRow) -> Condition:
    return Condition(
        id=row["id"],
        group_id=row["group_id"],
        agent=row["agent"],
        condition_id=row["condition_id"],
        token_id=row["token_id"],
        outcome=Outcome(row["outcome"]),
        kind=ConditionKind(row["kind"]),
        trigger_e4=None if row["trigger_price"] is None else e4(row["trigger_price"]),
        trail_bps=row["trail_bps"],
        high_e4=None if row["high_price"] is None else e4(row["high_price"]),
        due_ns=optional_ns(row["due_at"]),
        size_e6=None if row["size"] is None else e6(row["size"]),
        slippage_ticks=row["slippage_ticks"],
        intent_id=row["intent_id"],
        reason=row["reason"],
        state=ConditionState(row["state"]),
        note=row["note"],
        created_ns=to_ns(row["created_at"]),
        updated_ns=to_ns(row["updated_at"]),
        triggered_ns=optional_ns(row["triggered_at"]),
    )


def execution_params(execution: Execution, market: Market) -> dict[str, Any]:
    """Parameters of `EXECUTION_CHANGED`, without the lease's and the version's."""
    return market_params(market) | {
        "id": execution.id,
        "token_id": execution.token_id,
        "outcome": execution.outcome.value,
        "side": execution.side.value,
        "algo": execution.algo.value,
        "size": size_decimal(execution.size_e6),
        "execution_starts_at": from_ns(execution.start_ns),
        "execution_ends_at": from_ns(execution.end_ns),
        "price": _price(execution.price_e4),
        "at_end": execution.at_end.value,
        "plan": json_text(execution.plan),
        "progress": json_text(execution.progress),
        "reason": execution.reason,
        "state": execution.state.value,
        "note": execution.note,
        "updated_at": from_ns(execution.updated_ns),
    }


def execution_of(row: DictRow) -> Execution:
    return Execution(
        id=row["id"],
        agent=row["agent"],
        condition_id=row["condition_id"],
        token_id=row["token_id"],
        outcome=Outcome(row["outcome"]),
        side=Side(row["side"]),
        algo=Algo(row["algo"]),
        size_e6=e6(row["size"]),
        start_ns=to_ns(row["starts_at"]),
        end_ns=to_ns(row["ends_at"]),
        price_e4=None if row["price"] is None else e4(row["price"]),
        at_end=AtEnd(row["at_end"]),
        plan=row["plan"],
        progress=row["progress"],
        reason=row["reason"],
        state=ExecutionState(row["state"]),
        note=row["note"],
        updated_ns=to_ns(row["updated_at"]),
    )


def _price(price_e4: int | None) -> Any:
    return None if price_e4 is None else price_decimal(price_e4)


def _time(ns: int | None) -> Any:
    return None if ns is None else from_ns(ns)
