"""The pure transition function: which news make which state, and which are refused."""

from dataclasses import replace

import pytest
from fakes.venue import make_market, make_request
from hypothesis import given
from hypothesis import strategies as st

from engine.order_states import (
    LEGAL,
    Acked,
    Counted,
    GivenUp,
    Lost,
    Missing,
    OrderLife,
    Recalled,
    Refused,
    Reported,
    Sent,
    Signal,
    Signed,
    advance,
    intended,
    known,
    moved,
)
from engine.reservations import cash_limited
from models.errors import BadValue
from models.markets import Side
from models.orders import (
    Fill,
    Order,
    OrderRequest,
    OrderState,
    Role,
    SignedOrder,
    SubmitAck,
    TimeInForce,
    TradeStatus,
)

S = OrderState
MARKET = make_market()
REQUEST = make_request(MARKET, "i1")
SHARE = 1_000_000
TERMINAL = [state for state in S if state.terminal]


def life_in(state: OrderState, request: OrderRequest = REQUEST, **more: object) -> OrderLife:
    life = OrderLife(Order("0x1", request, state, created_ns=1, updated_ns=1))
    return replace(life, **more)


def fill(
    shares: float, trade_id: str = "t1", status: TradeStatus = TradeStatus.MATCHED, at_ns: int = 5
) -> Fill:
    size = int(shares * SHARE)
    return Fill(
        trade_id, "0x1", "anna", MARKET.condition_id, MARKET.up_token, REQUEST.outcome, Side.BUY,
        Role.MAKER, size, size // 2, 0, status, at_ns,
    )  # fmt: skip


def ack(state: OrderState, *trade_ids: str) -> Acked:
    return Acked(SubmitAck("0x1", state, trade_ids))


def said(state: OrderState, shares: float = 0, certain: bool = False) -> Reported:
    return Reported(state, int(shares * SHARE), certain=certain)


FAK = replace(REQUEST, tif=TimeInForce.FAK)
FAK_SELL = replace(FAK, side=Side.SELL)

FILL_4, FILL_6, FILL_10, FILL_12 = (
    Counted(fill(4)),
    Counted(fill(6, "t2")),
    Counted(fill(10)),
    Counted(fill(12)),
)
FAILED_4 = Counted(fill(4, status=TradeStatus.FAILED))
FAILED_10 = Counted(fill(10, status=TradeStatus.FAILED))
LOST, REFUSED, MISSING = Lost("time-out"), Refused("balance"), Missing("not there")

# fmt: off
TABLE: list[tuple[str, OrderRequest, OrderState, list[Signal], OrderState, float, bool]] = [
    # name, request, state before, signals, state after, filled shares, doubtful
    ("acked live", REQUEST, S.SENT, [ack(S.LIVE)], S.LIVE, 0, False),
    ("acked delayed", REQUEST, S.SENT, [ack(S.DELAYED)], S.DELAYED, 0, True),
    ("acked and must be asked", REQUEST, S.SENT, [ack(S.UNKNOWN)], S.UNKNOWN, 0, True),
    ("acked matched, no fill yet", FAK, S.SENT, [ack(S.FILLED, "t1")], S.PARTIAL, 0, True),
    ("acked matched, fill there", FAK, S.SENT, [FILL_4, ack(S.FILLED, "t1")], S.FILLED, 4, False),
    ("acked matched, one of two", FAK, S.SENT,
     [ack(S.FILLED, "t1", "t2"), FILL_4], S.PARTIAL, 4, True),
    ("acked matched without ids", FAK, S.SENT, [ack(S.FILLED)], S.PARTIAL, 0, True),
    ("acked matched, may rest", REQUEST, S.SENT, [ack(S.FILLED, "t1"), FILL_4], S.PARTIAL, 4, True),
    ("rests after matching", REQUEST, S.SENT,
     [ack(S.FILLED, "t1"), FILL_4, said(S.LIVE, 4, True)], S.PARTIAL, 4, False),
    ("acked after whole fill", REQUEST, S.SENT,
     [FILL_10, ack(S.FILLED, "t1")], S.FILLED, 10, False),
    ("immediate order acked live", FAK, S.SENT, [ack(S.LIVE)], S.LIVE, 0, True),
    ("refused", REQUEST, S.SENT, [REFUSED], S.REJECTED, 0, False),
    ("refused after a fill", REQUEST, S.SENT, [FILL_4, REFUSED], S.PARTIAL, 4, True),
    ("refused after it was seen", REQUEST, S.SENT, [said(S.LIVE), REFUSED], S.UNKNOWN, 0, True),
    ("lost", REQUEST, S.SENT, [LOST], S.UNKNOWN, 0, True),
    ("lost and found", REQUEST, S.SENT, [LOST, said(S.LIVE, 0, True)], S.LIVE, 0, False),
    ("lost, then acked", REQUEST, S.SENT, [LOST, ack(S.LIVE)], S.LIVE, 0, True),
    ("lost with a fill", REQUEST, S.SENT, [FILL_4, LOST], S.PARTIAL, 4, True),
    ("lost with a whole fill", REQUEST, S.SENT, [FILL_10, LOST], S.FILLED, 10, False),
    ("told live before the ack", REQUEST, S.SENT, [said(S.LIVE), ack(S.LIVE)], S.LIVE, 0, False),
    ("told live, then acked delayed", REQUEST, S.SENT,
     [said(S.LIVE), ack(S.DELAYED)], S.LIVE, 0, False),
    ("delayed, then live", REQUEST, S.DELAYED, [said(S.LIVE)], S.LIVE, 0, False),
    ("delayed, then traded", REQUEST, S.DELAYED, [FILL_4], S.PARTIAL, 4, False),
    ("cancelled before the ack", REQUEST, S.SENT,
     [said(S.CANCELLED), ack(S.LIVE)], S.CANCELLED, 0, False),
    ("ack names a trade of a dead order", REQUEST, S.SENT,
     [said(S.CANCELLED), ack(S.FILLED, "t1")], S.CANCELLED, 0, True),
    ("part filled", REQUEST, S.LIVE, [FILL_4], S.PARTIAL, 4, False),
    ("same fill twice", REQUEST, S.LIVE, [FILL_4, FILL_4], S.PARTIAL, 4, False),
    ("filled beyond its size", REQUEST, S.LIVE, [FILL_12], S.FILLED, 10, False),
    ("filled in two", REQUEST, S.LIVE, [FILL_4, FILL_6], S.FILLED, 10, False),
    ("matched further than filled", REQUEST, S.LIVE, [said(S.LIVE, 4)], S.LIVE, 0, True),
    ("filled, fill late", REQUEST, S.LIVE, [said(S.FILLED, 10)], S.LIVE, 0, True),
    ("filled, fill came", REQUEST, S.LIVE, [said(S.FILLED, 10), FILL_10], S.FILLED, 10, False),
    ("called filled but only in part", REQUEST, S.LIVE,
     [said(S.FILLED, 4), FILL_4], S.PARTIAL, 4, True),
    ("dust does not matter", REQUEST, S.LIVE,
     [FILL_4, said(S.CANCELLED, 4.0005)], S.CANCELLED, 4, False),
    ("cancelled", REQUEST, S.LIVE, [said(S.CANCELLED)], S.CANCELLED, 0, False),
    ("cancelled, fill late", REQUEST, S.LIVE, [said(S.CANCELLED, 4)], S.LIVE, 0, True),
    ("cancelled, fill came", REQUEST, S.LIVE,
     [said(S.CANCELLED, 4), FILL_4], S.CANCELLED, 4, False),
    ("immediate order killed in part", FAK, S.LIVE,
     [FILL_4, said(S.CANCELLED, 4)], S.FILLED, 4, False),
    ("immediate order killed", FAK, S.LIVE, [said(S.CANCELLED)], S.CANCELLED, 0, False),
    ("cash decides, not shares", FAK, S.SENT, [FILL_12], S.PARTIAL, 12, True),
    ("shares decide for sales", FAK_SELL, S.SENT, [FILL_10], S.FILLED, 10, False),
    ("expired", REQUEST, S.LIVE, [said(S.EXPIRED)], S.EXPIRED, 0, False),
    ("venue rejects a live one", REQUEST, S.LIVE, [said(S.REJECTED)], S.REJECTED, 0, False),
    ("venue unsure", REQUEST, S.LIVE, [said(S.UNKNOWN)], S.LIVE, 0, True),
    ("late fill of a cancelled one", REQUEST, S.CANCELLED, [FILL_4], S.CANCELLED, 4, False),
    ("whole fill of a cancelled one", REQUEST, S.CANCELLED, [FILL_10], S.FILLED, 10, False),
    ("late word of matches", REQUEST, S.CANCELLED, [said(S.CANCELLED, 4)], S.CANCELLED, 0, True),
    ("fill of an expired one", REQUEST, S.EXPIRED, [FILL_10], S.FILLED, 10, False),
    ("fill of a rejected one", REQUEST, S.REJECTED, [FILL_4], S.PARTIAL, 4, True),
    ("rejected one shown live", REQUEST, S.REJECTED, [said(S.LIVE)], S.LIVE, 0, False),
    ("rejected one cancelled", REQUEST, S.REJECTED, [said(S.CANCELLED)], S.CANCELLED, 0, False),
    ("rejected one filled", REQUEST, S.REJECTED, [said(S.FILLED, 10)], S.REJECTED, 0, True),
    ("cancelled one told live", REQUEST, S.CANCELLED, [said(S.LIVE)], S.CANCELLED, 0, False),
    ("cancelled one asked: live", REQUEST, S.CANCELLED, [said(S.LIVE, 0, True)], S.LIVE, 0, False),
    ("cancelled one asked: delayed", REQUEST, S.CANCELLED,
     [said(S.DELAYED, 0, True)], S.LIVE, 0, False),
    ("filled one asked: live", REQUEST, S.FILLED, [said(S.LIVE, 0, True)], S.FILLED, 0, False),
    ("dead ones are not missed", REQUEST, S.CANCELLED,
     [MISSING, LOST, REFUSED], S.CANCELLED, 0, False),
    ("missing", REQUEST, S.LIVE, [MISSING], S.UNKNOWN, 0, True),
    ("missing but ending", REQUEST, S.LIVE, [said(S.CANCELLED, 4), MISSING], S.LIVE, 0, True),
    ("missing, then given up", REQUEST, S.LIVE,
     [MISSING, GivenUp(S.CANCELLED, "gone")], S.CANCELLED, 0, False),
    ("given up while a fill lacks", REQUEST, S.LIVE,
     [said(S.CANCELLED, 4), GivenUp(S.EXPIRED, "")], S.CANCELLED, 0, True),
    ("given up with a fill, immediate", FAK, S.UNKNOWN,
     [FILL_4, GivenUp(S.CANCELLED, "")], S.FILLED, 4, False),
    ("given up twice", REQUEST, S.CANCELLED, [GivenUp(S.REJECTED, "")], S.CANCELLED, 0, False),
    ("failed trade of a live one", REQUEST, S.LIVE, [FILL_4, FAILED_4], S.LIVE, 0, False),
    ("failed trade of a filled one", REQUEST, S.LIVE, [FILL_10, FAILED_10], S.FILLED, 0, False),
    ("failed before it was seen", REQUEST, S.LIVE, [FAILED_4, FILL_4], S.LIVE, 0, False),
    ("nothing new", REQUEST, S.LIVE, [Recalled()], S.LIVE, 0, False),
]
# fmt: on


@pytest.mark.parametrize("row", TABLE, ids=[row[0].replace(" ", "_") for row in TABLE])
def test_news_make_the_state(
    row: tuple[str, OrderRequest, OrderState, list[Signal], OrderState, float, bool],
) -> None:
    _, request, before, signals, after, shares, doubtful = row
    life = life_in(before, request)
    if before is S.FILLED:
        life = replace(life, legs={})
    for now, signal in enumerate(signals, start=10):
        life = advance(life, signal, now)
    assert life.order.state is after
    assert life.order.filled_e6 == shares * SHARE
    assert life.doubtful is doubtful


def test_a_life_from_the_wish_to_the_row() -> None:
    life = intended(REQUEST, 3)
    assert (life.order.state, life.order.order_id, life.order.created_ns) == (S.INTENDED, "", 3)
    life = advance(life, Signed(SignedOrder("0x1", REQUEST, 5, 10, {"salt": 1})), 4)
    assert (life.order.state, life.order.order_id) == (S.SIGNED, "0x1")
    assert life.order.payload == {"salt": 1}
    assert advance(life, Sent(), 5).order.state is S.SENT


@pytest.mark.parametrize("state", [state for state in S if state is not S.INTENDED])
def test_an_order_is_signed_once(state: OrderState) -> None:
    with pytest.raises(BadValue, match="signed"):
        advance(life_in(state), Signed(_signed()), 9)


@pytest.mark.parametrize("state", [s for s in S if s not in (S.SIGNED, S.SENT)])
def test_only_a_signed_order_is_sent(state: OrderState) -> None:
    with pytest.raises(BadValue, match="sent"):
        advance(life_in(state), Sent(), 9)


def _signed() -> SignedOrder:
    return SignedOrder("0x1", REQUEST, 5, 10, {})


@pytest.mark.parametrize("after", S)
@pytest.mark.parametrize("before", S)
def test_moves_follow_the_table(before: OrderState, after: OrderState) -> None:
    order = life_in(before).order
    if after is before or after in LEGAL[before]:
        assert moved(order, after, 7, 0).state is after
    else:
        with pytest.raises(BadValue, match="0x1"):
            moved(order, after, 7, 0)


def test_table_names_every_state_and_ends_are_ends() -> None:
    assert set(LEGAL) == set(S)
    assert LEGAL[S.FILLED] == frozenset()
    for state in TERMINAL:
        assert not LEGAL[state] & {S.INTENDED, S.SIGNED, S.SENT, S.UNKNOWN}


def test_what_changes_nothing_keeps_the_time_of_the_last_change() -> None:
    life = advance(life_in(S.SENT), ack(S.LIVE), 50)
    assert life.order.updated_ns == 50
    assert advance(life, said(S.LIVE), 60).order is life.order


STATUSES = st.sampled_from(TradeStatus)
FILLS = st.builds(
    fill,
    st.integers(1, 6),
    st.sampled_from(["t1", "t2", "t3"]),
    STATUSES,
)
SIGNALS = st.one_of(
    st.builds(
        ack,
        st.sampled_from([S.LIVE, S.DELAYED, S.FILLED, S.UNKNOWN]),
        st.sampled_from(["t1", "t2"]),
    ),
    st.builds(said, st.sampled_from(S), st.integers(0, 10), st.booleans()),
    st.builds(Refused, st.just("no")),
    st.builds(Lost, st.just("lost")),
    st.builds(Missing, st.just("missing")),
    st.builds(GivenUp, st.sampled_from([S.CANCELLED, S.REJECTED, S.EXPIRED]), st.just("over")),
    st.builds(Counted, FILLS),
    st.just(Recalled()),
)


@given(
    st.lists(SIGNALS, max_size=12),
    st.sampled_from(TimeInForce),
    st.sampled_from(Side),
)
def test_any_news_in_any_order_make_legal_steps(
    signals: list[Signal], tif: TimeInForce, side: Side
) -> None:
    life = life_in(S.SENT, replace(REQUEST, tif=tif, side=side))
    for now, signal in enumerate(signals, start=10):
        before = life
        life = advance(life, signal, now)
        state = life.order.state
        assert state is before.order.state or state in LEGAL[before.order.state]
        most = life.filled_e6 if cash_limited(life.order) else life.request.size_e6
        assert life.order.filled_e6 == min(life.filled_e6, most) >= 0
        if isinstance(signal, Counted):
            assert life.legs[signal.fill.trade_id].status.rank >= signal.fill.status.rank
        if state.terminal:
            assert life.ending is None
            assert not life.unsure


@given(st.lists(FILLS, max_size=8, unique_by=lambda f: (f.trade_id, f.status)), st.randoms())
def test_fills_count_the_same_in_any_order_and_number(fills: list[Fill], rng: object) -> None:
    sizes: dict[str, int] = {}
    fills = [replace(f, size_e6=sizes.setdefault(f.trade_id, f.size_e6)) for f in fills]
    shuffled = [*fills, *fills[:3]]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]

    def told(news: list[Fill]) -> int:
        life = life_in(S.LIVE)
        for item in news:
            life = advance(life, Counted(item), 9)
        return life.order.filled_e6

    assert told(fills) == told(shuffled)


def test_taken_up_order_is_brought_in_line_with_its_fills() -> None:
    order = replace(life_in(S.FILLED).order, filled_e6=10 * SHARE)
    failed = {"t1": fill(4, status=TradeStatus.FAILED), "t2": fill(6, "t2")}
    assert advance(known(order, failed), Recalled(), 9).order.filled_e6 == 6 * SHARE
    cut_off = known(life_in(S.LIVE).order, {"t1": fill(10)})
    assert advance(cut_off, Recalled(), 9).order.state is S.FILLED


@pytest.mark.parametrize(
    ("signals", "rests"),
    [
        ([], False),
        ([ack(S.DELAYED)], False),
        ([ack(S.LIVE)], True),
        ([ack(S.FILLED, "t1")], True),
        ([ack(S.DELAYED), said(S.LIVE)], True),
        ([Lost("?")], False),
        ([Lost("?"), said(S.LIVE, 0, True)], True),
        ([Counted(fill(4))], False),
    ],
)
def test_order_rests_once_it_is_past_matching_on_arrival(
    signals: list[Signal], rests: bool
) -> None:
    life = life_in(S.SENT)
    for signal in signals:
        life = advance(life, signal, 9)
    assert life.rests is rests
