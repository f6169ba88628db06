"""The small parts, each on its own: schedule, demand, limits, faults, numbers, sizes of pages."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.markets import Outcome, Settlement, Side
from models.units import PRICE_ONE, SECOND_NS
from venue.simulator.auth import make_key
from venue.simulator.config import Series
from venue.simulator.errors import Refusal
from venue.simulator.faults import NAMES, FaultBoard
from venue.simulator.hearts import Hearts
from venue.simulator.limits import Limits
from venue.simulator.liquidity import Demand, Step
from venue.simulator.model import ModelSource, fair_value
from venue.simulator.schedule import Schedule
from venue.simulator.spot import ModelPath
from venue.simulator.windows import make_window
from venue.simulator.wire import number

# --- schedule ---------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1000)), st.integers(1, 50))
def test_deeds_run_in_the_order_of_their_time_however_time_jumps(times, stride):
    schedule = Schedule()
    ran: list[tuple[int, int]] = []
    for i, at in enumerate(times):
        schedule.at(at, lambda due, i=i: ran.append((due, i)))
    now = 0
    while now < 1000 + stride:
        schedule.run(now)
        assert all(at <= now for at, _ in ran)
        now += stride
    assert ran == sorted((at, i) for i, at in enumerate(times))


def test_a_deed_may_plan_another_for_the_same_moment():
    schedule = Schedule()
    ran = []
    schedule.at(5, lambda due: schedule.at(due, ran.append))
    schedule.run(5)
    assert ran == [5]


def test_repeated_deeds_keep_to_multiples_and_do_not_catch_up_a_long_sleep():
    schedule = Schedule()
    ran: list[int] = []
    schedule.now_ns = 3
    schedule.every(10, ran.append)
    schedule.run(35)
    assert ran == [10, 20, 30]
    schedule.run(10_000_005)
    assert ran == [10, 20, 30, 40]
    schedule.run(10_000_020)
    assert ran[4:] == [10_000_010, 10_000_020]


# --- demand -----------------------------------------------------------------------------------


def test_depth_a_client_took_returns_only_when_the_level_moves():
    demand = Demand()
    book = Step((), ((4800, 100),), ((5200, 70), (5300, 50)))
    assert demand.target(book) == ([(4800, 100)], [(5200, 70), (5300, 50)])
    demand.consume(False, 5200, 30)
    assert demand.target(book) == ([(4800, 100)], [(5200, 40), (5300, 50)])
    demand.consume(False, 5200, 40)
    assert demand.target(book) == ([(4800, 100)], [(5300, 50)])
    moved = Step((), ((4800, 100),), ((5200, 71), (5300, 50)))
    assert demand.target(moved) == ([(4800, 100)], [(5200, 71), (5300, 50)])


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.integers(1, 50)), max_size=20))
def test_demand_never_asks_for_more_than_the_source_shows(taken):
    demand = Demand()
    book = Step((), ((4800, 60), (4700, 60)), ((5200, 60), (5300, 60)))
    demand.target(book)
    for bid, level, size in taken:
        demand.consume(bid, 4900 - 100 * level if bid else 5100 + 100 * level, size)
        bids, asks = demand.target(book)
        assert all(0 < size <= 60 for _, size in bids + asks)


# --- model ------------------------------------------------------------------------------------


def model_window(settlement: Settlement):
    return make_window(Series("ETH", "15m"), 1_800_000_000, 900, settlement, 0)


@pytest.mark.parametrize("settlement", list(Settlement))
def test_fair_value_starts_near_a_half_and_ends_at_the_outcome(settlement):
    path = ModelPath("ETH", 7)
    window = model_window(settlement)
    assert fair_value(window, path, window.market.start_ns) == 0.5
    window.opening_e8 = path.price_e8(window.market.start_ns)
    assert 0.3 < fair_value(window, path, window.market.start_ns) < 0.7
    for shift in (-2_000_000_000, 2_000_000_000):
        window.opening_e8 = path.price_e8(window.market.end_ns) - shift
        end = fair_value(window, path, window.market.end_ns - SECOND_NS // 2)
        assert end > 0.99 if shift > 0 else end < 0.01


def test_fair_value_of_the_average_follows_what_is_already_known():
    """Against a simulation of the average that the formula summarises."""
    import numpy as np

    class Flat:
        volatility = 1e-5

        def price_e8(self, at_ns: int) -> int:
            return 3_000 * 10**8

    window = model_window(Settlement.TWAP_60)
    spot = 3_000 * 10**8
    random = np.random.default_rng(1)
    for left in (600, 90, 60, 30, 10):
        now = window.market.end_ns - left * SECOND_NS
        steps = random.normal(0, spot * 1e-5, (4000, left))
        paths = spot + np.cumsum(steps, axis=1) - steps
        tail = paths[:, -60:]
        average = (tail.sum(axis=1) + spot * max(0, 60 - left)) / 60
        strike = spot + 0.5 * spot * 1e-5 * np.sqrt(left)
        window.opening_e8 = int(strike)
        simulated = float((average >= strike).mean())
        assert abs(fair_value(window, Flat(), now) - simulated) < 0.03


def test_model_books_are_uncrossed_and_the_same_each_time():
    path = ModelPath("ETH", 7)
    window = model_window(Settlement.TWAP_60)
    window.opening_e8 = path.price_e8(window.market.start_ns)
    one, two = (ModelSource({"ETH": path}, 7).open(window, 0) for _ in range(2))
    for second in range(-5, 899, 7):
        now = window.market.start_ns + second * SECOND_NS
        steps = one.play(now, 100)
        assert steps == two.play(now, 100)
        for step in steps:
            assert all(price % 100 == 0 for price, _ in step.bids + step.asks)
            assert [p for p, _ in step.bids] == sorted({p for p, _ in step.bids}, reverse=True)
            assert [p for p, _ in step.asks] == sorted({p for p, _ in step.asks})
            if step.bids and step.asks:
                assert step.bids[0][0] < step.asks[0][0]
            for taker in step.takers:
                assert 0 < taker.price_e4 < PRICE_ONE
                assert taker.outcome in Outcome
                assert taker.side is Side.BUY


# --- limits and faults ------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_then_its_rate():
    limits = Limits()
    for _ in range(60):
        limits.charge("order", "me", 1, 0)
    with pytest.raises(Refusal) as refusal:
        limits.charge("order", "me", 1, 0)
    assert refusal.value.status == 429
    assert refusal.value.headers["Retry-After"] == "1"
    assert limits.charge("order", "you", 1, 0)["Poly-RateLimit-Remaining"] == "59"
    assert limits.charge("order", "me", 1, SECOND_NS // 40)["Poly-RateLimit-Tier"] == "standard"
    with pytest.raises(Refusal):
        limits.charge("order", "me", 61, 10 * SECOND_NS)
    limits.charge("order", "me", 60, 10 * SECOND_NS)


def test_an_engine_restart_is_followed_by_post_only_and_then_nothing():
    board = FaultBoard()
    board.set("engine-restart", {"seconds": 90}, 0)
    with pytest.raises(Refusal) as refusal:
        board.gate("cancel", 89 * SECOND_NS)
    assert refusal.value.status == 425
    board.gate("order", 91 * SECOND_NS)
    with pytest.raises(Refusal) as refusal:
        board.gate_post_only(False, 91 * SECOND_NS)
    assert refusal.value.body["code"] == "post_only_mode"
    assert refusal.value.body["retry_after_seconds"] == 119
    board.gate_post_only(True, 91 * SECOND_NS)
    board.gate_post_only(False, 211 * SECOND_NS)
    assert board.active(211 * SECOND_NS) == []


def test_a_counted_fault_happens_that_often():
    board = FaultBoard()
    board.set("execution-500", {"count": 2}, 0)
    for _ in range(2):
        with pytest.raises(Refusal, match="could not run the execution"):
            board.gate("order", 1)
    board.gate("order", 1)


@pytest.mark.parametrize("params", [{"seconds": 0}, {"count": -1}, {"seconds": "ten"}])
def test_a_fault_with_a_senseless_limit_is_refused(params):
    with pytest.raises(Refusal):
        FaultBoard().set("ws-freeze", params, 0)
    with pytest.raises(Refusal, match="unknown fault"):
        FaultBoard().set("no-such-fault", {}, 0)
    assert all(text for text in NAMES.values())


def test_heartbeats_demand_the_last_id_and_notice_silence():
    hearts = Hearts(10_000)
    key = make_key(b"root", "0x" + "11" * 20, 0, 0)
    first = hearts.beat(key, "", 0)
    with pytest.raises(Refusal) as refusal:
        hearts.beat(key, "wrong", SECOND_NS)
    assert refusal.value.body == {
        "error": "Invalid Heartbeat ID",
        "error_msg": "Invalid Heartbeat ID",
        "heartbeat_id": first,
    }
    second = hearts.beat(key, first, 5 * SECOND_NS)
    assert second != first
    assert hearts.silent(15 * SECOND_NS) == []
    assert hearts.silent(15 * SECOND_NS + 1) == [key.key]
    again = Hearts(10_000)
    again.restore(hearts.export(), 100 * SECOND_NS)
    assert again.silent(105 * SECOND_NS) == []
    assert again.beat(key, second, 106 * SECOND_NS)


@given(st.integers(-(10**15), 10**15), st.integers(0, 8))
def test_numbers_are_written_exactly_and_without_trailing_zeros(value, decimals):
    text = number(value, decimals)
    assert Decimal(text) == Decimal(value).scaleb(-decimals)
    assert "." not in text or not text.endswith("0")
