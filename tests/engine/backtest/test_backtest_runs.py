"""Runs as a whole: windows, agents beside one another, faults, determinism, money to the unit."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from tape_kit import (
    CASH_E6,
    LIMITS,
    START_NS,
    Scripted,
    TapeWriter,
    agent,
    column,
    final_cash_e6,
    make_market,
    once,
    play,
)

from engine.backtest import BacktestAgent, Travel
from models.errors import ConfigError
from models.markets import Outcome, Side, taker_fee_e6
from models.orders import TimeInForce
from models.results import TABLES, RunResult
from models.tape import DTYPES, Row, Tape
from models.units import MILLISECOND_NS, SECOND_NS, SHARE, USD
from risk.policies import load
from strategies.base import Buy, Cancel, Place, Quote


def two_windows() -> TapeWriter:
    tape = TapeWriter(make_market(0), make_market(1)).spots(-5, 1860)
    for second in range(0, 1800, 5):
        tape.book(second, {49: 100}, {50: 100}, market=second // 900)
    return tape.resolve(903, True, 0).resolve(1803, False, 1)


def same(one: RunResult, other: RunResult) -> bool:
    return all(
        np.array_equal(one.tables[name][column], other.tables[name][column])
        for name, columns in TABLES.items()
        for column in columns
    )


def test_windows_follow_one_another_and_are_settled():
    busy = Scripted(
        on_start=lambda view: Buy(Outcome.UP, price_e4=5000, size_e6=10 * SHARE),
    )
    result = play(two_windows().tape(), agent(busy))
    assert busy.times("on_start") == [0.0, 900.0]
    assert busy.times("on_stop") == [897.0, 1797.0]
    assert len(busy.times("on_resolution")) == 2
    assert column(result, "windows", "winner") == [0, 1]
    assert column(result, "windows", "market") == [0, 1]
    fee = taker_fee_e6(5000, 10 * SHARE, result.markets[0].fee)
    assert column(result, "windows", "pnl_e6") == [5 * USD - fee, -5 * USD - fee]
    assert final_cash_e6(result) == CASH_E6 - 2 * fee
    assert result.winners == (0, 1)


def test_orders_pass_the_floors_policies_as_they_do_live():
    text = """policies:
    - {type: TradeLimit, max_usd: 4}
    - {type: ExpiryCutoff, min_seconds: 600}
    """
    wishes = {
        "on_start": lambda view: [
            Buy(Outcome.UP, price_e4=5000, size_e6=10 * SHARE),
            Buy(Outcome.UP, price_e4=5000, size_e6=6 * SHARE),
        ],
        "on_timer": lambda view: (
            Buy(Outcome.UP, price_e4=5000, size_e6=6 * SHARE) if view.elapsed_s == 301 else None
        ),
    }
    plain = play(two_windows().tape(), agent(Scripted(**wishes)))
    checked = play(two_windows().tape(), agent(Scripted(**wishes)), policies=load(text, "r", USD))
    assert column(plain, "orders", "size_e6") == [10 * SHARE, 6 * SHARE, 6 * SHARE] * 2
    assert column(checked, "orders", "size_e6") == [6 * SHARE] * 2


def test_a_timer_rings_every_second_and_a_tick_comes_once_a_cadence():
    tape = TapeWriter().spots(-1, 5)
    for tenth in range(50):
        tape.book(tenth / 10, {40 + tenth % 9: 100}, {50: 100})
    slow = Scripted(1000)
    play(tape.tape(), agent(slow))
    assert slow.times("on_timer")[:4] == [1.0, 2.0, 3.0, 4.0]
    ticks = slow.times("on_tick")
    assert ticks[:5] == [0.0, 1.0, 2.0, 3.0, 4.0]
    eager = Scripted(0)
    play(tape.tape(), agent(eager))
    assert [at for at in eager.times("on_tick") if at < 5] == [tenth / 10 for tenth in range(50)]


def test_an_answer_that_takes_time_holds_up_its_own_window_only():
    buys = Scripted(0, on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=10 * SHARE), 2))
    idle = Scripted(0)
    tape = TapeWriter().spots(-1, 6)
    for tenth in range(60):
        tape.level(tenth / 10, 0, 49, 100 + tenth) if tenth else tape.book(0, {49: 1}, {50: 100})
    travel = Travel(250 * MILLISECOND_NS)
    play(tape.tape(), agent(buys), agent(idle, "idle"), feed=Travel(0), order=travel)
    held = [at for at in buys.times("on_tick") if 2 < at < 2.25]
    assert held == []
    assert [at for at in idle.times("on_tick") if 2 < at < 2.25] == [2.1, 2.2]
    assert buys.times("on_fill") == [2.25]


@pytest.mark.parametrize("cadence_ms", [0, 100, 1000])
def test_an_order_of_a_strategy_that_is_alone_is_there_when_it_was_sent(cadence_ms):
    wish = Buy(Outcome.UP, price_e4=5000, size_e6=10 * SHARE)
    buys = Scripted(cadence_ms, on_tick=once(wish, 2.25))
    tape = TapeWriter().spots(-1, 30).book(0, {49: 1}, {50: 100})
    for quarter in range(1, 120):
        tape.level(quarter / 4, 0, 49, 100 + quarter)
    result = play(tape.tape(), agent(buys))
    sent = column(result, "orders", "created_ns")
    assert len(sent) == 1
    assert column(result, "fills", "time_ns") == column(result, "orders", "ended_ns") == sent
    sent_s = (sent[0] - START_NS) / SECOND_NS
    assert 2.25 <= sent_s <= 3.25
    assert [at for at in buys.times("on_tick") if sent_s <= at <= sent_s + 1.25][1:]


def test_a_strategy_that_raises_ends_alone_with_its_orders_cancelled():
    def fail(view):
        if view.elapsed_s >= 10:
            raise RuntimeError("no idea")
        if not view.open_orders:
            return Place(
                Outcome.UP, Side.BUY, price_e4=4000, size_e6=10 * SHARE,
                tif=TimeInForce.GTC, post_only=True,
            )  # fmt: skip
        return None

    calm = Scripted()
    faulty = Scripted(on_tick=fail)
    result = play(two_windows().tape(), agent(faulty), agent(calm, "calm"))
    assert set(result.failures) == {"anna"}
    assert "no idea" in result.failures["anna"]
    assert column(result, "orders", "state") == ["cancelled"]
    ended = column(result, "orders", "ended_ns")[0]
    assert ended == START_NS + 10 * SECOND_NS
    assert faulty.times("on_start") == [0.0]
    assert calm.times("on_start") == [0.0, 900.0]
    assert max(calm.times("on_timer")) > 1790


@pytest.mark.parametrize("cadence_ms", [0, 1000])
def test_a_fault_at_every_event_is_isolated_too(cadence_ms):
    def fail(view):
        if view.elapsed_s >= 10:
            raise RuntimeError("no idea")

    other = Scripted(cadence_ms)
    result = play(
        two_windows().tape(), agent(Scripted(cadence_ms, on_tick=fail)), agent(other, "bert")
    )
    assert "no idea" in result.failures["anna"]
    assert max(other.times("on_tick")) > 1790


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    def churn(view):
        size = (20 + int(view.elapsed_s) // 20 % 2) * SHARE
        return Quote(4900, size, 5000, size)

    def one(seed: int) -> RunResult:
        tape = two_windows()
        for second in range(3, 1780, 7):
            tape.trade(second + 0.4, bool(second % 2), 49 + second % 2, 130)
        sampled = Travel(40 * MILLISECOND_NS, 0.8)
        return play(
            tape.tape(), agent(Scripted(on_tick=churn)), seed=seed, feed=sampled, order=sampled
        )

    first, again, other = one(7), one(7), one(8)
    assert len(column(first, "fills", "size_e6")) > 5
    assert same(first, again)
    assert not same(first, other)


def test_agents_with_one_purse_share_cash_and_limits_but_not_positions():
    limits = replace(LIMITS, capital_e6=20 * USD, max_position_e6=30 * USD)
    seen: list[tuple[int, int]] = []

    def watch(view):
        seen.append((view.position_e6(Outcome.UP), view.cash_e6))

    rich = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=50 * SHARE), 2))
    late = Scripted(
        on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=40 * SHARE), 5), on_timer=watch
    )
    tape = TapeWriter().spots(-1, 30).book(0, {49: 500}, {50: 500})
    pair = agent(rich, "anna", limits), agent(late, "bert", limits)
    result = play(tape.tape(), *pair, shared_account=True)
    fee = taker_fee_e6(5000, 50 * SHARE, result.markets[0].fee)
    assert column(result, "fills", "size_e6") == [50 * SHARE]
    assert column(result, "fills", "agent") == [0]
    assert seen[0] == (0, 40 * USD)
    assert seen[-1] == (0, 40 * USD - 25 * USD - fee)
    refused = [d for d in column(result, "decisions", "detail") if "capital" in d]
    assert len(refused) == 1
    apart = play(tape.tape(), *pair)
    assert column(apart, "fills", "size_e6") == []


def test_cash_and_shares_are_conserved_to_the_unit_between_agents_and_accounts():
    from engine.backtest.config import BacktestConfig
    from engine.backtest.player import Player

    def churn(view):
        spread = 100 * (1 + int(view.elapsed_s) % 3)
        return Quote(5000 - spread, 15 * SHARE, 5000 + spread, 15 * SHARE)

    tape = two_windows()
    for second in range(3, 1780, 3):
        tape.trade(second + 0.4, bool(second % 2), 49 + second % 2, 150)
        tape.level(second + 0.4, 1 - second % 2, 49 + second % 2, 100)
    built = tape.tape()
    grabs = Scripted(on_tick=lambda view: Buy(Outcome.DOWN, budget_e6=3 * USD))
    config = BacktestConfig(
        (agent(Scripted(on_tick=churn)), agent(grabs, "bert")), shared_account=True
    )
    end_ns = int(built.recv_ns[-1]) + SECOND_NS
    player = Player(
        built, config, 0, len(built), int(built.recv_ns[0]), end_ns,
        lambda done: None,
    )  # fmt: skip
    player.play()
    account = player.pit.shadow.accounts["shared"]
    owned = sum(one.portfolio.cash_e6 - one.portfolio.capital_e6 for one in player.agents)
    assert account.fills > 20
    assert account.cash_e6 == account.granted_e6 + owned
    assert account.holdings == {}
    rows = player.recorder.tables()["windows"]
    assert owned == int(rows["pnl_e6"].sum())


def test_orders_that_cannot_be_are_refused_with_the_reason_and_nothing_else_happens():
    wrong = [
        Buy(Outcome.UP, price_e4=5050, size_e6=10 * SHARE),
        Buy(Outcome.UP, price_e4=5000, size_e6=0),
        Buy(Outcome.UP, budget_e6=10 * USD, confidence=float("nan")),
        Cancel("nothing-of-ours"),
    ]
    result = play(two_windows().tape(), agent(Scripted(on_start=lambda view: list(wrong))))
    assert column(result, "orders", "order_id") == []
    assert column(result, "decisions", "kind").count("refused") >= 1
    assert result.failures == {}


def test_a_gtd_order_ends_at_its_time():
    resting = Place(Outcome.UP, Side.BUY, price_e4=4000, size_e6=10 * SHARE, tif=TimeInForce.GTD)
    result = play(two_windows().tape(), agent(Scripted(on_tick=once(resting))))
    assert column(result, "orders", "state") == ["cancelled"]


def test_post_only_orders_that_would_take_are_rejected():
    crossing = Place(
        Outcome.UP, Side.BUY, price_e4=5000, size_e6=10 * SHARE, tif=TimeInForce.GTC, post_only=True
    )
    result = play(two_windows().tape(), agent(Scripted(on_tick=once(crossing))))
    assert column(result, "orders", "state") == ["rejected"]
    assert "crosses" in column(result, "orders", "note")[0]


def test_a_dark_feed_stops_placing_and_pulls_orders():
    resting = Place(
        Outcome.UP, Side.BUY, price_e4=4000, size_e6=10 * SHARE, tif=TimeInForce.GTC, post_only=True
    )
    fresh: dict[float, bool] = {}
    watch = Scripted(
        on_tick=once(resting), on_timer=lambda view: fresh.update({view.elapsed_s: view.fresh})
    )
    tape = TapeWriter().spots(-1, 30).book(0, {49: 100}, {50: 100}).add(5.5, Row.DARK)
    tape.book(10.5, {49: 100}, {50: 100})
    result = play(tape.tape(), agent(watch))
    assert fresh[5.0] and not fresh[6.0] and fresh[11.0]
    assert column(result, "orders", "ended_ns") == [round(START_NS + 5.5 * SECOND_NS)]


def test_progress_is_told_and_may_end_the_run():
    told: list[tuple[int, int]] = []
    tape = two_windows().tape()
    from engine.backtest import BacktestConfig, run

    run(tape, BacktestConfig((agent(Scripted()),)), lambda done, of: told.append((done, of)))
    assert told[0] == (0, len(tape)) and told[-1] == (len(tape), len(tape))
    assert told == sorted(told)

    class Enough(Exception):
        pass

    def stop(done: int, of: int) -> None:
        if done:
            raise Enough

    with pytest.raises(Enough):
        run(tape, BacktestConfig((agent(Scripted()),)), stop)


async def test_a_run_inside_a_running_event_loop_leaves_it_alone():
    before = asyncio.get_running_loop()
    play(two_windows().tape(), agent(Scripted(on_tick=once(Cancel()))))
    assert asyncio.get_running_loop() is before
    await asyncio.sleep(0)


def test_start_and_end_bound_when_agents_trade():
    busy = Scripted()
    play(
        two_windows().tape(), agent(busy), start_ns=START_NS + 100 * SECOND_NS,
        end_ns=START_NS + 1000 * SECOND_NS,
    )  # fmt: skip
    assert busy.times("on_start") == [100.0, 900.0]
    assert min(busy.times("on_tick")) == 100.0
    assert max(at / SECOND_NS for _, at, _ in busy.calls) <= START_NS / SECOND_NS + 1000


@pytest.mark.parametrize(
    ("column_name", "row", "value", "says"),
    [
        ("ts_ns", 5, 0, "row 5"),
        ("price", 3, 20_000, "row 3"),
        ("market", 3, 9, "row 3"),
        ("size", 3, -1, "row 3"),
        ("kind", 3, 99, "row 3"),
    ],
)
def test_a_tape_that_cannot_be_is_refused(column_name, row, value, says):
    tape = TapeWriter().book(0, {49: 1, 48: 1, 47: 1}, {50: 1, 51: 1, 52: 1}).spots(1, 4).tape()
    columns = {name: getattr(tape, name).copy() for name in DTYPES}
    columns[column_name] = columns[column_name].astype(np.int64)
    columns[column_name][row] = value
    columns = {name: columns[name].astype(dtype) for name, dtype in DTYPES.items()}
    if column_name == "ts_ns":
        says = "row 5"
    broken = Tape(**columns, markets=tape.markets, assets=tape.assets)
    with pytest.raises(ConfigError, match=says):
        play(broken, agent(Scripted()))


def test_a_tape_without_the_agents_markets_is_refused():
    with pytest.raises(ConfigError, match="ETH 15m"):
        play(two_windows().tape(), agent(Scripted(), asset="ETH"))


def test_an_agent_that_cannot_be_built_is_refused():
    broken = BacktestAgent(agent("momentum").spec.model_copy(update={"strategy": "nobody"}), LIMITS)
    with pytest.raises(ConfigError, match="nobody"):
        play(two_windows().tape(), broken)
