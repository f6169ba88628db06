"""Our books beside the exchange's: what agrees is let through, and every tampering is found."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.drilling.books import BooksReport, OurBooks, OurOrder, agree, compare

OWNER = "0xowner"
GRANTED = 1_000_000_000
Pair = tuple[OurBooks, dict[str, Any]]


def leg(order_id: str, owner: str, token: str, size: int, cash: int, fee: int) -> dict[str, Any]:
    return {
        "order_id": order_id, "owner": owner, "token_id": token,
        "size_e6": size, "cash_e6": cash, "fee_e6": fee,
    }  # fmt: skip


def order(order_id: str, size: int, matched: int, is_open: bool) -> dict[str, Any]:
    return {"order_id": order_id, "size_e6": size, "matched_e6": matched, "open": is_open}


@st.composite
def worlds(draw: st.DrawFn) -> Pair:
    """A small floor and its exchange that agree: buys, part fills, failures, resolutions."""
    orders, trades, ours, fills = [], [], {}, {}
    positions: dict[str, int] = {}
    cash = 0
    for number in range(draw(st.integers(1, 8))):
        order_id, token = f"0x{number}", f"token{number % 3}"
        size = draw(st.integers(1, 50)) * 1_000_000
        parts = draw(st.integers(0, 2))
        matched = 0
        for part in range(parts):
            filled = size // 4
            price, fee = draw(st.integers(1, 9_999)), draw(st.integers(0, 5_000))
            paid, failed = filled * price // 10_000, draw(st.booleans())
            mine = leg(order_id, OWNER, token, filled, paid, fee)
            other = leg("0xother", "0xelse", token, filled, paid, 0)
            taker, makers = (mine, [other]) if draw(st.booleans()) else (other, [mine])
            status = "FAILED" if failed else "CONFIRMED"
            trade_id = f"trade{number}-{part}"
            trades.append(
                {"trade_id": trade_id, "status": status, "taker": taker, "makers": makers}
            )
            fills[trade_id, order_id] = (filled, paid, fee, failed)
            if not failed:
                matched += filled
                cash -= paid + fee
                positions[token] = positions.get(token, 0) + filled
        is_open = draw(st.booleans())
        orders.append(order(order_id, size, matched, is_open))
        ours[order_id] = OurOrder("maker", f"intent{number}", is_open, 1)
    redemptions, payouts = [], {}
    wallet_shares = {token: size for token, size in positions.items() if size}
    paid_out = 0
    for token in list(wallet_shares):
        if draw(st.booleans()):
            won = draw(st.booleans())
            size = wallet_shares.pop(token)
            redemptions.append(
                {
                    "token_id": token, "condition_id": f"market-{token}",
                    "size_e6": size, "cash_e6": size if won else 0,
                }
            )  # fmt: skip
            paid_out += size if won else 0
            payouts[f"market-{token}"] = size if won else 0
    rebate = draw(st.integers(0, 1_000))
    ledger = {
        "owner": OWNER,
        "wallets": {
            "0xwallet": {
                "granted_e6": GRANTED,
                "cash_e6": GRANTED + cash + paid_out + rebate,
                "shares_e6": wallet_shares,
            }
        },
        "orders": orders,
        "trades": trades,
        "rebates": [{"cash_e6": rebate}],
        "redemptions": redemptions,
    }
    return OurBooks(ours, fills, cash, {k: v for k, v in positions.items() if v}, payouts), ledger


@given(worlds())
def test_books_that_agree_have_no_fault(world: Pair) -> None:
    ours, ledger = world
    report = compare(ours, ledger)
    assert report.agree, report.faults()
    assert (report.lost, report.orders) == (0, len(ledger["orders"]))


@given(worlds(), st.integers(-5, 5).filter(bool))
def test_one_base_unit_of_cash_is_seen(world: Pair, wrong: int) -> None:
    ours, ledger = world
    ledger["wallets"]["0xwallet"]["cash_e6"] += wrong
    report = compare(ours, ledger)
    assert report.cash_gap_e6 == wrong
    assert report.faults() == [f"cash differs by {wrong} e6"]


@given(worlds(), st.data())
def test_any_fill_we_lack_or_have_otherwise_is_lost(world: Pair, data: st.DataObject) -> None:
    ours, ledger = world
    real = [key for key, facts in ours.fills.items() if not facts[3]]
    if not real:
        return
    key = data.draw(st.sampled_from(real))
    size, cash, fee, _ = ours.fills[key]
    fills = dict(ours.fills)
    other = data.draw(
        st.sampled_from([None, (size + 1, cash, fee, False), (size, cash, fee + 1, False),
                         (size, cash, fee, True)])
    )  # fmt: skip
    if other is None:
        del fills[key]
    else:
        fills[key] = other
    report = compare(replace(ours, fills=fills), ledger)
    assert len(report.missing_fills) == report.lost == 1


def plain() -> Pair:
    """One open order, one filled order, one share position."""
    ledger = {
        "owner": OWNER,
        "wallets": {
            "0xwallet": {
                "granted_e6": GRANTED,
                "cash_e6": GRANTED - 510_000,
                "shares_e6": {"up": 1_000_000},
            }
        },
        "orders": [order("0xa", 5_000_000, 0, True), order("0xb", 1_000_000, 1_000_000, False)],
        "trades": [
            {
                "trade_id": "t1",
                "status": "CONFIRMED",
                "taker": leg("0xb", OWNER, "up", 1_000_000, 500_000, 10_000),
                "makers": [],
            }
        ],
        "rebates": [],
        "redemptions": [],
    }
    ours = OurBooks(
        {"0xa": OurOrder("maker", "i1", True, 7), "0xb": OurOrder("maker", "i2", False, 7)},
        {("t1", "0xb"): (1_000_000, 500_000, 10_000, False)},
        -510_000,
        {"up": 1_000_000},
        {},
    )
    return ours, ledger


def _unknown(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    ledger["orders"].append(order("0xc", 1, 0, False))
    return ours


def _forgotten(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    return replace(ours, orders={**ours.orders, "0xa": OurOrder("maker", "i1", False, 7)})


def _ghost(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    ledger["orders"][0]["open"] = False
    return ours


def _never_arrived(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    return replace(ours, orders={**ours.orders, "0xd": OurOrder("maker", "i9", True, 7)})


def _two_of_one_intent(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    return replace(ours, orders={**ours.orders, "0xa": OurOrder("maker", "i2", True, 7)})


def _twice_in_the_ledger(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    ledger["orders"].append(ledger["orders"][1])
    return ours


def _shares(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    ledger["wallets"]["0xwallet"]["shares_e6"]["up"] += 1
    return ours


def _payout(ours: OurBooks, ledger: dict[str, Any]) -> OurBooks:
    return replace(ours, payouts_e6={"market": 1_000_000})


TAMPERINGS: list[tuple[Callable[[OurBooks, dict[str, Any]], OurBooks], str, int]] = [
    (_unknown, "unknown", 1),
    (_forgotten, "forgotten", 1),
    (_ghost, "ghosts", 0),
    (_never_arrived, "ghosts", 0),
    (_two_of_one_intent, "doubled", 0),
    (_twice_in_the_ledger, "doubled", 0),
    (_shares, "share_gaps", 0),
    (_payout, "payout_gaps", 0),
]


@pytest.mark.parametrize(
    ("tamper", "where", "lost"), TAMPERINGS, ids=[t[0].__name__ for t in TAMPERINGS]
)
def test_each_kind_of_difference_is_told_by_its_name(
    tamper: Callable[[OurBooks, dict[str, Any]], OurBooks], where: str, lost: int
) -> None:
    ours, ledger = plain()
    assert compare(ours, ledger).agree
    report = compare(tamper(ours, ledger), ledger)
    assert len(getattr(report, where)) == 1
    assert report.lost == lost
    assert not report.agree


def test_an_intent_that_was_tried_again_after_a_cancel_is_not_doubled() -> None:
    ours, ledger = plain()
    ledger["orders"].append(order("0xc", 1_000_000, 0, False))
    again = OurOrder("maker", "i2", False, 7)
    assert compare(replace(ours, orders={**ours.orders, "0xc": again}), ledger).agree


class Reader:
    """Ledgers one after the other; the last one stays."""

    def __init__(self, ledgers: list[dict[str, Any]]) -> None:
        self.ledgers = ledgers

    async def __call__(self) -> dict[str, Any]:
        return self.ledgers.pop(0) if len(self.ledgers) > 1 else self.ledgers[0]


async def looks(
    monkeypatch: pytest.MonkeyPatch, ours: list[OurBooks], ledgers: list[dict[str, Any]]
) -> BooksReport:
    """Let `agree` see these books and ledgers, as if they were read one after the other."""

    async def read(_database: object, _ledger: object) -> OurBooks:
        return ours.pop(0) if len(ours) > 1 else ours[0]

    monkeypatch.setattr("tasks.drilling.books.read_books", read)
    return await agree(None, Reader(ledgers), patience_s=5.0, pause_s=0.001)  # type: ignore[arg-type]


async def test_what_is_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, ledger = plain()
    behind = replace(ours, fills={}, trading_cash_e6=0, positions_e6={})
    report = await looks(monkeypatch, [behind, ours], [ledger])
    assert report.agree


async def test_what_stays_wrong_is_told_once_two_looks_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, ledger = plain()
    ledger["wallets"]["0xwallet"]["cash_e6"] += 3
    report = await looks(monkeypatch, [_never_arrived(ours, ledger), ours], [ledger])
    assert report.faults() == ["cash differs by 3 e6"]


async def test_a_look_while_money_moved_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, ledger = plain()
    moved = copy.deepcopy(ledger)
    moved["wallets"]["0xwallet"]["cash_e6"] += 9
    report = await looks(monkeypatch, [ours], [moved, ledger, moved, ledger, ledger])
    assert report.agree
