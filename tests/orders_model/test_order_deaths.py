"""One operation, killed at its first await, at its third, and so on until it survives.

HYPOTHESIS_PROFILE=explore leaves none out.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from models.markets import Outcome, Side
from models.orders import OrderState, TimeInForce
from tests.orders_model import session
from tests.orders_model.rig import Stage

STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 2
MOST = 200
"""No operation waits so often."""

Operation = Callable[[Stage], session.Ask]


def taking(stage: Stage) -> session.Ask:
    wish = stage.wish(outcome=Outcome.DOWN, price_e4=9_900, shares=5, tif=TimeInForce.FAK)
    return session.Place(wish)


def replacing(stage: Stage) -> session.Ask:
    return session.Replace(0, stage.wish(price_e4=300))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("operation", [taking, replacing])
def test_any_await_may_be_the_last(open_stage: Any, operation: Operation) -> None:
    """A successor finds out what happened, whatever the venue got to see of it."""
    stage: Stage = open_stage()
    stage.begin_surely()
    for awaits in range(1, MOST, STEP):
        stage.ask(session.Place(stage.wish()), session.Work())
        # Doom counts whatever awaits, so on a busy machine the session may not even hear the ask.
        doomed = stage.ask(session.Doom(awaits)) is not None
        survived = doomed and stage.ask(operation(stage)) is not None
        stage.check_nothing_doubled_or_lost()
        stage.begin_surely()
        if survived:
            break
        if stage.over:
            stage.check_agreed(stage.settle())
            stage = open_stage()
            stage.begin_surely()
    assert 5 < awaits < MOST
    stage.check_agreed(stage.settle())


def test_the_venue_cancels_for_a_session_that_died(open_stage: Any) -> None:
    stage: Stage = open_stage()
    stage.begin_surely()
    answers = stage.ask(session.Place(stage.wish()))
    assert answers is not None
    assert answers[0].state is OrderState.LIVE
    assert stage.ask(session.Beat()) == [True]
    stage.pass_time(8.0)
    assert [order["open"] for order in stage.ledger()["orders"]] == [True]
    stage.crash()
    stage.clock.advance(12.0)
    stage.sweep(Outcome.UP, Side.SELL, 5)
    assert [order["open"] for order in stage.ledger()["orders"]] == [False]
    stage.begin_surely()
    books = stage.settle()
    stage.check_agreed(books)
    assert [order.state for order in books.orders] == [OrderState.CANCELLED]
    assert books.reserved_cash_e6 == 0


@pytest.mark.parametrize("fault", ["accept-then-500", "accept-then-drop", "unmatched-answer"])
def test_a_wish_without_a_clear_answer_is_never_sent_twice(open_stage: Any, fault: str) -> None:
    """Whoever insists, before a crash or after it, gets the order there is."""
    stage: Stage = open_stage()
    assert stage.begin(listens=False)
    wish = stage.wish()
    stage.fault(fault, count=1)
    for _ in range(2):
        stage.ask(session.Place(wish))
    stage.crash()
    stage.begin_surely()
    stage.ask(session.Place(wish))
    stage.check_nothing_doubled_or_lost()
    stage.check_agreed(stage.settle())
    assert len(stage.ledger()["orders"]) == 1
