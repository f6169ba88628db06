"""Hand-made runs: markets, agents and fills from a few numbers, with every sum worked out.

`made_run` does its bookkeeping in plain integers, fill by fill, so that what it returns is an
oracle for the figures made from it. `runs` draws such runs.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from models.markets import TIMEFRAMES, FeeSchedule, Market, Settlement, taker_fee_e6
from models.results import TABLES, UNRESOLVED, RunResult
from models.tape import Report
from models.units import PRICE_ONE, SECOND_NS, SHARE, USD, notional_e6

START_NS = 1_771_632_000 * SECOND_NS
FEE = FeeSchedule(70_000, 1, 200_000)


def market(number: int, timeframe: str = "15m", asset: str = "BTC") -> Market:
    """The `number`th window after `START_NS`."""
    length = TIMEFRAMES[timeframe] * SECOND_NS
    start = START_NS + number * length
    slug = f"{asset.lower()}-updown-{timeframe}-{start // SECOND_NS}"
    return Market(
        condition_id=f"0x{number:064x}", slug=slug, question=f"{asset} up or down?", asset=asset,
        timeframe=timeframe, up_token=f"up{number}", down_token=f"down{number}", start_ns=start,
        end_ns=start + length, tick_e4=100, min_size_e6=5 * SHARE, fee=FEE,
        settlement=Settlement.TWAP_60, strike_e8=None if number % 2 else 67_000 * 10**8,
    )  # fmt: skip


def tables(**rows: list[dict[str, Any]]) -> dict[str, dict[str, np.ndarray]]:
    """Make every table, those that are given with these rows."""
    return {
        name: {
            column: np.array([row[column] for row in rows.get(name, [])], dtype=dtype)
            for column, dtype in columns.items()
        }
        for name, columns in TABLES.items()
    }


def run(
    agents: tuple[str, ...] = ("alpha",),
    capital_e6: tuple[int, ...] | None = None,
    markets: tuple[Market, ...] = (),
    **parts: Any,
) -> RunResult:
    """A run of the given parts; nothing happened in what is left out."""
    made = {
        "spec": {}, "tables": tables(), "start_ns": START_NS,
        "end_ns": START_NS + 3_600 * SECOND_NS, "events": 0, "wakes": 0, "wall_s": 0.0,
    }  # fmt: skip
    capital = (1_000 * USD,) * len(agents) if capital_e6 is None else capital_e6
    return RunResult(agents=agents, capital_e6=capital, markets=markets, **(made | parts))


@dataclass
class Book:
    """One agent's money while a run is made up."""

    cash_e6: int
    shares: dict[tuple[int, int], int] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {name: [] for name in TABLES}
    )


def made_run(
    seed: int,
    agents: int = 2,
    windows: int = 12,
    fills_a_window: int = 6,
    texts: tuple[str, ...] = ("because",),
    skill: float = 0.6,
) -> RunResult:
    """Make up a run whose agents buy, sell and hold to the end, in cents and whole shares.

    Parameters
    ----------
    texts
        Reasons and notes to choose from.
    skill
        How much of the truth is in the agents' forecasts, 0 to 1.
    """
    rng = random.Random(seed)
    names = tuple(f"agent-{number}" for number in range(agents))
    capital = tuple(rng.randrange(500, 5_000) * USD for _ in names)
    markets = tuple(market(number, "5m" if seed % 2 else "15m") for number in range(windows))
    winners = tuple(rng.choice((0, 0, 1, 1, UNRESOLVED)) for _ in markets)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for agent, _ in enumerate(names):
        book = Book(capital[agent])
        for number, each in enumerate(markets):
            _trade(rng, book, agent, number, each, fills_a_window, texts)
            _forecast(rng, book, agent, number, each, winners[number], skill)
            _settle(book, agent, number, each, winners[number])
        for name, made in book.rows.items():
            rows[name].extend(made)
    for made in rows.values():
        made.sort(key=lambda row: (row.get("time_ns", row.get("created_ns", 0)), row["agent"]))
    return RunResult(
        spec={
            "name": f"made-up-{seed}", "fill_model": "back", "order_latency": "constant:50ms",
            "feed_latency": "constant:50ms", "seed": seed, "data": "made up",
            "agents": [{"name": name, "parameters": {"edge": 0.5}} for name in names],
        },
        agents=names, capital_e6=capital, markets=markets, tables=tables(**rows),
        start_ns=START_NS, end_ns=(markets[-1].end_ns if markets else START_NS) + SECOND_NS,
        events=10_000, wakes=900, wall_s=1.25,
        data=(Report("book.parquet", 5_378, {"duplicate": 3}, {"duplicate": ("row 7: twice",)}),),
        winners=winners,
    )  # fmt: skip


def _trade(
    rng: random.Random, book: Book, agent: int, number: int, each: Market, count: int,
    texts: tuple[str, ...],
) -> None:  # fmt: skip
    span = each.end_ns - each.start_ns
    mid = rng.randrange(2_000, 8_000)
    for at in sorted(rng.randrange(span) for _ in range(rng.randrange(count + 1))):
        mid = min(max(mid + rng.randrange(-800, 801, 50), 150), PRICE_ONE - 150)
        outcome, held = rng.randrange(2), 0
        key = (number, outcome)
        held = book.shares.get(key, 0)
        side = 1 if held >= 5 * SHARE and rng.random() < 0.4 else 0
        maker = rng.random() < 0.5
        own_mid = mid if outcome == 0 else PRICE_ONE - mid
        away = rng.choice((50, 100)) * (1 if (side == 0) != maker else -1)
        price = min(max((own_mid + away) // 100 * 100, 100), PRICE_ONE - 100)
        size = min(held, 5 * SHARE) if side else rng.randrange(5, 60) * SHARE
        cash = notional_e6(price, size)
        fee = 0 if maker else taker_fee_e6(price, size, FEE)
        if side == 0 and book.cash_e6 < cash + fee:
            continue
        book.cash_e6 += (cash if side else -cash) - fee
        book.shares[key] = held + (-size if side else size)
        time_ns, order_id = each.start_ns + at, f"0x{rng.getrandbits(64):016x}"
        ordered = size * rng.choice((1, 1, 2))
        state = "filled" if ordered == size else "cancelled"
        book.rows["orders"].append(
            {
                "order_id": order_id, "agent": agent, "market": number, "outcome": outcome,
                "side": side, "price_e4": price, "size_e6": ordered, "filled_e6": size,
                "tif": "GTC" if maker else "FAK", "post_only": maker, "state": state,
                "created_ns": time_ns - 10**9, "ended_ns": time_ns,
                "reason": rng.choice(texts), "note": rng.choice(("", *texts)),
            }
        )  # fmt: skip
        drift = [max(50, min(PRICE_ONE - 50, mid + rng.randrange(-200, 201))) for _ in range(3)]
        late = rng.random() < 0.1
        book.rows["fills"].append(
            {
                "time_ns": time_ns, "agent": agent, "market": number, "order_id": order_id,
                "outcome": outcome, "side": side, "maker": maker, "size_e6": size,
                "cash_e6": cash, "fee_e6": fee, "mid_e4": mid, "mid_1s_e4": drift[0],
                "mid_5s_e4": drift[1], "mid_30s_e4": -1 if late else drift[2],
            }
        )  # fmt: skip
        book.rows["decisions"].append(
            {
                "time_ns": time_ns - 10**9, "agent": agent, "market": number, "kind": "place",
                "detail": '{"reason": "made up"}',
            }
        )  # fmt: skip
        _note(book, agent, time_ns, mid)


def _note(book: Book, agent: int, time_ns: int, mid: int) -> None:
    worth = sum(
        notional_e6(mid if outcome == 0 else PRICE_ONE - mid, size)
        for (_, outcome), size in book.shares.items()
    )
    book.rows["equity"].append(
        {
            "time_ns": time_ns, "agent": agent, "cash_e6": book.cash_e6,
            "equity_e6": book.cash_e6 + worth, "exposure_e6": worth,
        }
    )  # fmt: skip


def _forecast(
    rng: random.Random, book: Book, agent: int, number: int, each: Market, winner: int, skill: float
) -> None:
    for step in range(3):
        truth = 0.5 if winner == UNRESOLVED else 1.0 - winner
        luck = rng.betavariate(2, 2)
        book.rows["forecasts"].append(
            {
                "time_ns": each.start_ns + step * 10**9, "agent": agent, "market": number,
                "probability": skill * truth + (1 - skill) * luck,
            }
        )  # fmt: skip


def _settle(book: Book, agent: int, number: int, each: Market, winner: int) -> None:
    mine = [row for row in book.rows["fills"] if row["market"] == number]
    payout = book.shares.get((number, winner), 0) if winner != UNRESOLVED else 0
    if winner != UNRESOLVED:
        book.shares.pop((number, 0), None)
        book.shares.pop((number, 1), None)
    book.cash_e6 += payout
    if not mine:
        return
    bought = sum(row["cash_e6"] for row in mine if row["side"] == 0)
    sold = sum(row["cash_e6"] for row in mine if row["side"] == 1)
    fees = sum(row["fee_e6"] for row in mine)
    book.rows["windows"].append(
        {
            "agent": agent, "market": number, "winner": winner, "bought_e6": bought,
            "sold_e6": sold, "fees_e6": fees, "payout_e6": payout,
            "pnl_e6": sold + payout - bought - fees, "fills": len(mine),
            "opened_ns": mine[0]["time_ns"], "closed_ns": each.end_ns,
        }
    )  # fmt: skip
    _note(book, agent, each.end_ns, PRICE_ONE // 2)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@st.composite
def runs(draw: st.DrawFn, max_windows: int = 6) -> RunResult:
    """Draw a made-up run, some of them empty."""
    return made_run(
        seed=draw(st.integers(0, 2**32)),
        agents=draw(st.integers(1, 3)),
        windows=draw(st.integers(0, max_windows)),
        fills_a_window=draw(st.integers(0, 5)),
        texts=tuple(draw(st.lists(TEXT, min_size=1, max_size=3))),
        skill=draw(st.floats(0, 1)),
    )
