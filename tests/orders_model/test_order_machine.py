"""Hypothesis trades on the real simulator: rules for all that may happen, one truth afterwards.

The order manager, the adapter, the journal on Postgres and the simulator are the real ones, in
processes of their own; `doom` kills the agent's session at the n-th await from then on.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models.markets import Outcome, Side
from models.orders import OrderRequest, TimeInForce
from tests.orders_model import session
from tests.orders_model.mayhem import FAULTS
from tests.orders_model.rig import Stage

EXPLORE = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
EXAMPLES, STEPS = (60, 40) if EXPLORE else (4, 16)

PRICES = st.sampled_from([100, 200, 9_900, *range(1_000, 9_001, 500), *range(4_500, 5_501, 10)])
SHARES = st.integers(5, 30)
SIDES = st.sampled_from([Side.BUY, Side.BUY, Side.SELL])
OUTCOMES = st.sampled_from(Outcome)
TIFS = st.sampled_from(TimeInForce)
WHICH = st.integers(0, 9)


class Trading(RuleBasedStateMachine):
    """One agent on one simulator; `open_stage` is given by the test."""

    open_stage: Any

    @initialize(delay_ms=st.sampled_from([0, 150]), seed=st.integers(1, 1_000))
    def open(self, delay_ms: int, seed: int) -> None:
        self.stage: Stage = self.open_stage(taker_delay_ms=delay_ms, seed=seed, timeout_s=0.5)
        self.wishes: list[OrderRequest] = []
        self.stage.begin_surely()

    def ask(self, *asks: session.Ask) -> None:
        """Ask the session; one that died has a successor, which recovers first."""
        if not self.stage.alive:
            self.stage.begin_surely()
        self.stage.ask(*asks)

    def wish(self, **fields: Any) -> OrderRequest:
        self.wishes.append(self.stage.wish(**fields))
        return self.wishes[-1]

    # --- what the agent does ------------------------------------------------------------------

    @rule(
        side=SIDES, outcome=OUTCOMES, price_e4=PRICES, shares=SHARES, tif=TIFS,
        post_only=st.booleans(),
    )  # fmt: skip
    def place(self, **fields: Any) -> None:
        self.ask(session.Place(self.wish(**fields)))

    @rule(outcome=OUTCOMES, shares=SHARES)
    def quote(self, outcome: Outcome, shares: int) -> None:
        """Two orders on their way at once."""
        low, high = (
            self.wish(outcome=o, price_e4=4_000, shares=shares) for o in (outcome, outcome.other)
        )
        self.ask(session.Place(low), session.Place(high))

    @rule(outcome=OUTCOMES, shares=SHARES)
    def take(self, outcome: Outcome, shares: int) -> None:
        wish = self.wish(outcome=outcome, price_e4=9_900, shares=shares, tif=TimeInForce.FAK)
        self.ask(session.Place(wish))

    @precondition(lambda self: self.wishes)
    @rule(back=st.integers(1, 3))
    def place_again(self, back: int) -> None:
        """The same wish once more, as a careless trader would after a crash."""
        self.ask(session.Place(self.wishes[-min(back, len(self.wishes))]))

    @rule(which=WHICH, price_e4=PRICES, shares=SHARES)
    def replace(self, which: int, price_e4: int, shares: int) -> None:
        self.ask(session.Replace(which, self.wish(price_e4=price_e4, shares=shares)))

    @rule(which=WHICH, together=st.booleans())
    def cancel(self, which: int, together: bool) -> None:
        asks: list[session.Ask] = [session.CancelOne(which)]
        if together:
            asks.append(session.Place(self.wish(price_e4=3_000)))
        self.ask(*asks)

    @rule(one_market=st.booleans())
    def cancel_all(self, one_market: bool) -> None:
        market = self.stage.known_market.condition_id if one_market else None
        self.ask(session.CancelAll(market))

    @rule()
    def reconcile(self) -> None:
        self.ask(session.Reconcile())

    # --- what the world does ------------------------------------------------------------------

    @rule(outcome=OUTCOMES, side=st.sampled_from(Side), shares=st.sampled_from([5, 500, 100_000]))
    def stranger_trades(self, outcome: Outcome, side: Side, shares: int) -> None:
        self.stage.sweep(outcome, side, shares)

    @rule(seconds=st.sampled_from([0.2, 1.0, 4.0]), works=st.booleans())
    def time_passes(self, seconds: float, works: bool) -> None:
        self.stage.clock.advance(seconds)
        if works:
            self.ask(session.Work())

    @rule()
    def silence(self) -> None:
        """Longer than the venue waits for a sign of life."""
        self.stage.clock.advance(11.0)

    @rule()
    def tick_changes(self) -> None:
        self.stage.change_tick()

    # --- what goes wrong ----------------------------------------------------------------------

    @rule(fault=st.sampled_from(FAULTS))
    def fault(self, fault: tuple[str, dict[str, Any]]) -> None:
        name, params = fault
        self.stage.fault(name, **params)

    @rule()
    def faults_end(self) -> None:
        self.stage.clear_faults()

    @rule(awaits=st.integers(1, 60))
    def doom(self, awaits: int) -> None:
        self.ask(session.Doom(awaits))

    @rule(awaits=st.integers(1, 80), listens=st.booleans())
    def restart(self, awaits: int, listens: bool) -> None:
        """Crash, and perhaps crash again while recovering."""
        self.stage.begin(awaits, listens=listens)

    @rule(price_e4=PRICES, after_s=st.sampled_from([0.0, 0.002, 0.01]))
    def venue_is_killed_meanwhile(self, price_e4: int, after_s: float) -> None:
        if not self.stage.alive:
            self.stage.begin_surely()
        placing = session.Place(self.wish(price_e4=price_e4))
        self.stage.ask_and_kill_venue(placing, session.CancelAll(), after_s=after_s)

    @rule()
    def store_cuts_connections(self) -> None:
        self.stage.cut_store()

    # --- what holds ---------------------------------------------------------------------------

    @invariant()
    def nothing_is_doubled_or_lost(self) -> None:
        if hasattr(self, "stage"):
            self.stage.check_nothing_doubled_or_lost()

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            self.stage.begin_surely()
            self.stage.check_agreed(self.stage.settle())
        finally:
            self.stage.close()


@pytest.mark.timeout(7_200 if EXPLORE else 300)
def test_whatever_happens_venue_books_and_table_agree(open_stage: Any) -> None:
    class OnStage(Trading):
        pass

    OnStage.open_stage = staticmethod(open_stage)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnStage,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not EXPLORE,
            database=None,
            phases=[Phase.generate, *([Phase.shrink] if EXPLORE else [])],
            suppress_health_check=list(HealthCheck),
        ),
    )
