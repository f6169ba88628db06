"""Maker rebates: a fifth of the fees one's fills brought, paid at the day's end, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polymarket import RebatedFee
from polymarket.models.data.activity import MakerRebateActivity, parse_activity

from engine.matching.audit import imbalances
from models.markets import Outcome, Side, taker_fee_e6
from models.orders import TradeStatus
from models.units import SECOND_NS, to_cash_e6
from venue.simulator.rebates import shares
from venue.simulator.records import Leg, TradeRecord
from venue.simulator.windows import CRYPTO_FEE

EVENING_S = 1_800_057_600 - 600
"""Ten minutes before a UTC midnight."""
DAY, NEXT_DAY = "2027-01-15", "2027-01-16"


@pytest.fixture
async def traded(make_stage):
    """A maker's bid of 30 Up at 0.40, which a taker met with a BUY of Down."""
    stage = await make_stage(at_s=EVENING_S)
    stage.condition = stage.empty_book().condition_id
    maker, taker = await stage.trader(1), await stage.trader(2)
    status, _ = await maker.post(stage.up, 40, 30)
    assert status == 200
    status, answer = await taker.post(stage.window.market.down_token, 60, 30, "BUY", "FOK")
    assert (status, answer["status"]) == (200, "matched"), answer
    return stage, maker, taker


async def rebates_told(stage, maker, day):
    query = f"date={day}&maker_address={maker.address}"
    async with stage.http.get(f"{stage.sim.url}/clob/rebates/current?{query}") as answer:
        assert answer.status == 200
        return await answer.json()


async def activity(stage, maker):
    async with stage.http.get(f"{stage.sim.url}/data/v2/activity?user={maker.address}") as answer:
        return [row for row in (await answer.json())["data"] if row["type"] == "MAKER_REBATE"]


def cash(ledger, trader):
    return ledger["wallets"][trader.address]["cash_e6"]


def total(world):
    """All cash there is, in accounts and pools."""
    assert imbalances(world.exchange) == []
    return world.exchange.deposited_e6


async def test_a_maker_is_paid_a_fifth_of_the_fee_at_midnight(traded):
    stage, maker, taker = traded
    owed = taker_fee_e6(6_000, 30_000_000, CRYPTO_FEE) // 5
    assert owed > 0
    (told,) = await rebates_told(stage, maker, DAY)
    assert (told["condition_id"], to_cash_e6(told["rebated_fees_usdc"])) == (stage.condition, owed)
    assert await activity(stage, maker) == []
    before, deposited = await maker.ledger(), total(stage.sim.world)
    taker_before = await taker.ledger()
    await stage.advance(590)
    assert (await maker.ledger())["rebates"] == []
    before = await maker.ledger()
    await stage.advance(10)
    after = await maker.ledger()
    assert cash(after, maker) == cash(before, maker) + owed
    assert cash(await taker.ledger(), taker) == cash(taker_before, taker)
    assert total(stage.sim.world) == deposited
    (rebate,) = after["rebates"]
    assert (rebate["day"], rebate["cash_e6"]) == (DAY, owed)
    (row,) = await activity(stage, maker)
    assert to_cash_e6(row["usdc_size"]) == owed
    read = parse_activity(row)
    assert isinstance(read, MakerRebateActivity)
    assert to_cash_e6(read.amount) == to_cash_e6(RebatedFee.parse_response(told).rebated_fees_usdc)
    assert await rebates_told(stage, maker, DAY) == [told]
    assert await rebates_told(stage, maker, NEXT_DAY) == []
    assert await rebates_told(stage, taker, DAY) == []


async def test_nothing_is_paid_twice_however_often_midnight_or_a_restart_comes(traded, make_stage):
    stage, maker, _ = traded
    await stage.advance(700)
    paid = (await maker.ledger())["rebates"]
    held = cash(await maker.ledger(), maker)
    assert len(paid) == 1
    await stage.http.close()
    await stage.sim.close()
    again = await make_stage(at_s=EVENING_S + 86_400 + 700)
    maker.url, maker.http = again.sim.url, again.http
    ledger = await maker.ledger()
    assert ledger["rebates"] == paid
    redeemed = sum(row["cash_e6"] for row in ledger["redemptions"])
    assert cash(ledger, maker) - redeemed == held


async def test_a_day_that_ended_while_the_venue_was_down_is_paid_at_the_start(traded, make_stage):
    stage, maker, _ = traded
    await stage.http.close()
    await stage.sim.close()
    again = await make_stage(at_s=EVENING_S + 3_600)
    maker.url, maker.http = again.sim.url, again.http
    (rebate,) = (await maker.ledger())["rebates"]
    assert rebate["day"] == DAY
    assert await rebates_told(again, maker, DAY)


async def test_a_trade_that_failed_pays_nobody(make_stage):
    stage = await make_stage(at_s=EVENING_S)
    stage.empty_book()
    maker, taker = await stage.trader(1), await stage.trader(2)
    stage.sim.world.set_fault("ghost-fill", {"count": 1})
    await maker.post(stage.up, 40, 30)
    await taker.post(stage.window.market.down_token, 60, 30, "BUY", "FOK")
    await stage.advance(20)
    assert {t["status"] for t in (await maker.ledger())["trades"]} == {"FAILED"}
    assert await rebates_told(stage, maker, DAY) == []
    await stage.advance(700)
    assert (await maker.ledger())["rebates"] == []


@pytest.mark.parametrize(
    "query", ["", "date=2027-01-15", "date=x&maker_address=0x" + "11" * 20, "maker_address=0x11"]
)
async def test_a_question_that_names_no_maker_or_day_is_refused(make_stage, query):
    stage = await make_stage()
    async with stage.http.get(f"{stage.sim.url}/clob/rebates/current?{query}") as answer:
        assert answer.status == 400
        assert (await answer.json())["error"].startswith("Invalid ")


def record(number, wallets, fees, at_s, status=TradeStatus.CONFIRMED):
    def leg(wallet, fee):
        return Leg(
            "0x", "k", wallet and "owner", wallet or "stranger", "t", Outcome.UP, Side.BUY,
            5_000, 1, 1, 0, fee,
        )  # fmt: skip

    makers = [leg(wallet, fee) for wallet, fee in zip(wallets, fees, strict=True)]
    return TradeRecord(
        str(number), number, "m", leg("taker", 0), makers, "DIRECT", at_s * SECOND_NS, "0x", 0,
        status=status, rebate_ppm=200_000,
    )  # fmt: skip


legs = st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.integers(0, 10**9)), max_size=4)


@given(st.lists(st.tuples(legs, st.integers(0, 300_000), st.booleans()), max_size=20))
def test_rebates_never_exceed_a_fifth_of_the_fees_and_lose_less_than_a_unit_each(trades):
    records = [
        record(n, [w for w, _ in rows], [f for _, f in rows], at_s,
               TradeStatus.CONFIRMED if good else TradeStatus.FAILED)
        for n, (rows, at_s, good) in enumerate(trades)
    ]  # fmt: skip
    paid = shares(records)
    fees = sum(f for rows, _, good in trades if good for w, f in rows if w)
    days = len({(at_s // 86_400, w) for rows, at_s, good in trades if good for w, _ in rows})
    assert fees / 5 - days <= sum(paid.values()) <= fees / 5
    assert all(cash > 0 for cash in paid.values())
