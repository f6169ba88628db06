"""The limits per address: what waits, what is refused, what is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venue.simulator.edge import LIMITS, LONG_LIMITS, LONG_SPAN_S, PATIENCE_S, SPAN_S, Edge
from venue.simulator.errors import Refusal


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_then_each_waits_its_turn_then_one_is_refused() -> None:
    clock = Clock()
    edge = Edge(clock=clock)
    limit = LIMITS["GET", "/clob/ok"]
    waits = [edge.wait_s("a", "GET", "/clob/ok") for _ in range(limit)]
    assert max(waits) == 0
    queued = [edge.wait_s("a", "GET", "/clob/ok") for _ in range(50)]
    assert queued == sorted(queued)
    assert queued[0] == pytest.approx(SPAN_S / limit)
    with pytest.raises(Refusal) as refused:
        for _ in range(limit):
            edge.wait_s("a", "GET", "/clob/ok")
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert edge.wait_s("another", "GET", "/clob/ok") == 0
    assert edge.wait_s("a", "GET", "/clob/time") == 0
    clock.now += SPAN_S + PATIENCE_S
    assert edge.wait_s("a", "GET", "/clob/ok") == 0


@given(st.lists(st.floats(0, 3), max_size=300))
def test_no_span_of_time_sees_more_than_the_burst_and_the_rate(pauses: list[float]) -> None:
    clock = Clock()
    edge = Edge(scale=lambda: 0.2, clock=clock)
    limit = LIMITS["GET", "/clob/ok"] * 0.2
    served = []
    for pause in pauses:
        clock.now += pause
        try:
            served.append(clock.now + max(0.0, edge.wait_s("a", "GET", "/clob/ok")))
        except Refusal:
            continue
    for start in served:
        within = [at for at in served if start <= at < start + SPAN_S]
        assert len(within) <= 2 * limit + 1


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("/clob/order", [15_000, 9_000, 5_000, 120_000]),
        ("/clob/auth/derive-api-key", [15_000, 9_000, 100]),
        ("/clob/data/order/0x12", [15_000, 9_000, 900]),
        ("/gamma/markets/slug/btc", [15_000, 4_000]),
        ("/data/trades", [15_000, 1_000]),
        ("/nowhere", [15_000]),
    ],
)
def test_every_rule_of_a_path_counts(path: str, rules: list[int]) -> None:
    found = Edge()._rules_of("POST", path)
    assert [limit for _, limit, _ in found] == rules


def test_ten_minutes_have_a_limit_of_their_own() -> None:
    clock = Clock()
    edge = Edge(clock=clock)
    path, limit = "/clob/cancel-all", LONG_LIMITS["DELETE", "/clob/cancel-all"]
    waits = []
    for _ in range(limit + 10):
        waits.append(edge.wait_s("a", "DELETE", path))
        clock.now += SPAN_S / LIMITS["DELETE", path]
    assert max(waits[: limit // 2]) == 0
    with pytest.raises(Refusal):
        for _ in range(limit):
            edge.wait_s("a", "DELETE", path)
            clock.now += SPAN_S / LIMITS["DELETE", path]
    clock.now += LONG_SPAN_S
    assert edge.wait_s("a", "DELETE", path) == 0


def test_a_refused_request_is_not_counted() -> None:
    clock = Clock()
    edge = Edge(scale=lambda: 0.01, clock=clock)
    assert edge.wait_s("a", "GET", "/clob/ok") == 0
    for _ in range(20):
        with pytest.raises(Refusal):
            edge.wait_s("a", "GET", "/clob/ok")
    clock.now += SPAN_S
    assert edge.wait_s("a", "GET", "/clob/ok") == 0
