"""Batches give what single calls give, and refuse what would reach outside the arrays."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_kit import BUY, DOWN, FAK, FOK, GTC, GTD, NOW, SELL, UP, make_exchange, make_order

from engine.matching import Exchange, batch
from engine.matching.audit import imbalances
from engine.matching.kernels import batch as columns
from engine.matching.kernels import layout as at
from engine.matching.types import CancelRefused, CoreOrder, OrderRefused
from models.errors import BadValue
from models.orders import OrderState
from models.units import SHARE, USD

CODES = {
    at.BAD_ORDER: "other",
    at.BAD_TICK: "tick",
    at.BAD_SIZE: "min_size",
    at.BAD_AMOUNTS: "other",
    at.SMALL_BUY: "min_size",
    at.NO_BALANCE: "balance",
    at.CROSSES: "crosses",
    at.FOK_UNFILLED: "unmatched",
    at.FAK_UNMATCHED: "unmatched",
}


def some_order(rng: random.Random, number: int) -> CoreOrder:
    return make_order(
        f"o{number}",
        rng.choice(("ann", "bob", "cyd")),
        rng.choice((UP, DOWN)),
        rng.choice((BUY, SELL)),
        rng.choice((45, 48, 49, 50, 51, 52, 55)) * 100 + (1 if rng.random() < 0.02 else 0),
        rng.randrange(400, 2_000) / 100,
        rng.choice((GTC, GTC, GTC, FOK, FAK)),
        post_only=rng.random() < 0.1,
    )


def single(exchange: Exchange, order: CoreOrder) -> tuple[object, int, int, int]:
    """Result, shares, cash and fee of one submit, in the batch's words."""
    try:
        exchange.submit(order, NOW)
    except OrderRefused as refused:
        return refused.code, 0, 0, 0
    status = exchange.order(order.order_id)
    assert status is not None
    words = {
        OrderState.LIVE: at.RESTS,
        OrderState.PARTIAL: at.RESTS,
        OrderState.FILLED: at.FILLED,
        OrderState.CANCELLED: at.DROPPED,
    }
    return words[status.state], status.filled_e6, status.cash_e6, status.fee_e6


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_batch_equals_single_calls(seed: int) -> None:
    rng = random.Random(seed)
    one = make_exchange(shares=100 * SHARE, cash=200 * USD)
    many = make_exchange(shares=100 * SHARE, cash=200 * USD)
    commands = batch.Commands(many, "m")
    expected: list[tuple[object, int, int, int]] = []
    for number in range(120):
        if number and rng.random() < 0.3:
            target = rng.randrange(number)
            commands.cancel(target)
            try:
                one.cancel(f"o{target}", NOW)
                expected.append((0, 0, 0, 0))
            except CancelRefused:
                expected.append((batch.GONE, 0, 0, 0))
            continue
        order = some_order(rng, number)
        cash = order.maker_amount_e6 if order.side is BUY else order.taker_amount_e6
        commands.place(
            order.account, order.token_id, order.side, order.price_e4, order.size_e6, cash,
            order.tif, order.post_only,
        )  # fmt: skip
        expected.append(single(one, order))
    results = batch.run(many, "m", commands.array())
    wanted = (batch.RESULT, batch.FILLED, batch.CASH, batch.FEE)
    ours = [(CODES.get(row[0], row[0]), *row[1:]) for row in results[:, wanted].tolist()]
    assert ours == expected
    assert many.book("m", UP) == one.book("m", UP)
    for account in ("ann", "bob", "cyd"):
        assert many.balance(account) == one.balance(account)
        for token in ("m-up", "m-down"):
            assert many.shares(account, token) == one.shares(account, token)
    assert many.pools("m") == one.pools("m")
    assert imbalances(many) == []
    # Single calls go on where the batch stopped.
    many.deposit("ann", 100 * USD)
    many.submit(make_order("later", "ann", UP, BUY, 100, 50), NOW)
    assert imbalances(many) == []


def test_long_batch_grows_the_arrays_on_its_way() -> None:
    exchange = make_exchange(cash=10**15)
    commands = batch.Commands(exchange, "m")
    for number in range(150_000):
        price = 1_000 + number % 30 * 100
        commands.place("ann", "m-up", BUY, price, 10 * SHARE, price * 10 * SHARE // 10_000)
    results = batch.run(exchange, "m", commands.array())
    assert (results[:, batch.RESULT] == at.RESTS).all()
    assert sum(size for _, size in exchange.book("m", UP)[0]) == 1_500_000 * SHARE
    assert imbalances(exchange) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (columns.OP, 2),
        (columns.OP, -1),
        (columns.BY, 99),
        (columns.BY, -1),
        (columns.ORDER_KIND, 4),
        (columns.TIF, at.GTD),
        (columns.FLAGS, at.RELEASED),
    ],
)
def test_command_outside_the_arrays_is_refused(column: int, value: int) -> None:
    exchange = make_exchange()
    commands = batch.Commands(exchange, "m")
    commands.place("ann", "m-up", BUY, 5_000, 10 * SHARE, 5 * USD)
    rows = commands.array()
    rows[0, column] = value
    with pytest.raises(BadValue):
        batch.run(exchange, "m", rows)


def test_batch_refuses_what_it_cannot_do() -> None:
    exchange = make_exchange()
    commands = batch.Commands(exchange, "m")
    with pytest.raises(BadValue, match="no clock"):
        commands.place("ann", "m-up", BUY, 5_000, 10 * SHARE, 5 * USD, GTD)
    with pytest.raises(BadValue, match="not one of"):
        commands.place("ann", "n-up", BUY, 5_000, 10 * SHARE, 5 * USD)
    with pytest.raises(BadValue, match="command 0"):
        commands.cancel(0)
    with pytest.raises(BadValue, match="shape"):
        batch.run(exchange, "m", np.zeros((3, 2), np.int64))
    forward = np.zeros((1, columns.COMMAND_FIELDS), np.int64)
    forward[0, columns.OP] = columns.CANCEL_OP
    with pytest.raises(BadValue):
        batch.run(exchange, "m", forward)
    exchange.submit(make_order("named", "ann", UP, BUY, 5_000, 10), NOW)
    with pytest.raises(BadValue, match="named orders"):
        batch.run(exchange, "m", commands.array())


def test_compiled_loops_are_cached_under_a_digest_of_every_kernel_file(tmp_path: Path) -> None:
    code = "from engine.matching.kernels import compiled; print(compiled.LOOPS.folder)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    folder = Path(told.stdout.strip())
    assert folder.parent == tmp_path
    assert folder.name.startswith("kernels-")
