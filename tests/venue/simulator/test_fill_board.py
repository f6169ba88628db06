"""Clients' orders against imposed books: what is displayed fills once, by the chosen model."""

from dataclasses import replace

import pytest

from engine.fills.depth import Depth
from models.fills import FillModel
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.settings import Liquidity, load_settings
from models.units import SECOND_NS, SHARE, USD
from venue.simulator.clock import ManualClock
from venue.simulator.config import Series, SimulatorConfig, config_from_settings
from venue.simulator.entry import Entry
from venue.simulator.liquidity import Demand, Step
from venue.simulator.recording import Taker
from venue.simulator.world import World

WALLET = "0x" + "Aa" * 20
NAMES = ("exchange", "pessimistic", "central", "optimistic")


class Floor:
    """A world without its network; one window whose book the test imposes."""

    def __init__(self, model: FillModel = FillModel.BACK) -> None:
        # An ETH window is played by the model source, which stays silent while the clock stands.
        config = SimulatorConfig(
            liquidity=Liquidity.MODEL,
            series=(Series("ETH", "15m"),),
            fill_model=model,
            taker_delay_ms=0,
        )
        self.world = World(config, ManualClock(1_800_003_900 * SECOND_NS))
        self.world.open()
        self.window = next(w for w in self.world.registry.all() if self.world.accepting(w))
        self.key = self.world.create_key(WALLET, 0)
        self.demand = self.world.life.demands[self.window.condition_id] = Demand(Depth())
        self.count = 0
        self.show(bids=((4_900, 100),), asks=((5_100, 100),))

    def show(self, bids=(), asks=(), takers=()):
        def shares(levels):
            return tuple((price, size * SHARE) for price, size in levels)

        takers = tuple(Taker(o, side, price, size * SHARE) for o, side, price, size in takers)
        step = Step(takers, shares(bids), shares(asks))
        self.world.stepped(self.window, self.demand, step, self.world.now())

    def buy(self, price, shares, outcome=Outcome.UP):
        self.count += 1
        size = shares * SHARE
        entry = Entry(
            order_id=f"0x{self.count:064x}", key=self.key, wallet=WALLET,
            condition_id=self.window.condition_id, token_id=self.window.market.token(outcome),
            outcome=outcome, side=Side.BUY, price_e4=price, size_e6=size,
            maker_amount_e6=price * size // 10_000, taker_amount_e6=size,
            tif=TimeInForce.GTC, post_only=False, expires_s=0,
        )  # fmt: skip
        return self.world.desk.place(entry, self.world.now())

    def filled(self):
        rows = self.world.fills.report()["wallets"][WALLET]
        return [rows[name]["filled_e6"] // SHARE for name in NAMES]


SELL_UP = (Outcome.UP, Side.SELL, 4_900)


@pytest.fixture(params=list(FillModel), ids=lambda model: model.value)
def floor(request):
    floor = Floor(request.param)
    yield floor
    floor.world.close()


def chosen(floor, pessimistic, optimistic):
    """What the exchange itself should have filled where the central models are at the back."""
    return optimistic if floor.world.fills.model is FillModel.FRONT else pessimistic


def test_a_print_fills_what_the_model_lets_past(floor):
    floor.buy(4_900, 50)
    floor.show(bids=((4_900, 40),), asks=((5_100, 100),), takers=[(*SELL_UP, 60)])
    assert floor.filled() == [chosen(floor, 0, 50), 0, 0, 50]
    floor.show(bids=((4_800, 9),), asks=((5_100, 100),), takers=[(*SELL_UP, 45)])
    assert floor.filled() == [chosen(floor, 5, 50), 5, 5, 50]


def test_depth_that_crosses_us_fills_us_once_while_it_stays(floor):
    floor.buy(4_900, 50)
    for _ in range(3):
        floor.show(bids=((4_500, 10),), asks=((4_800, 10), (4_850, 5), (5_100, 9)))
    assert floor.filled() == [15, 15, 15, 15]
    floor.show(bids=((4_500, 10),), asks=((4_800, 12), (4_850, 5), (5_100, 9)))
    assert floor.filled() == [17, 17, 17, 17]


def test_a_lost_feed_puts_nobody_ahead_of_those_who_were_ahead_of_us():
    floor = Floor(FillModel.BACK)
    floor.buy(4_900, 50)
    floor.world.stepped(floor.window, Demand(), Step((), (), ()), floor.world.now())
    floor.show(bids=((4_900, 100),), asks=((5_100, 100),))
    floor.show(bids=((4_900, 40),), asks=((5_100, 100),), takers=[(*SELL_UP, 60)])
    assert floor.filled() == [0, 0, 0, 50]
    floor.world.close()


def test_what_a_client_took_stays_away(floor):
    floor.buy(5_100, 60)
    floor.show(bids=((4_900, 100),), asks=((5_100, 101),))
    floor.buy(5_100, 60)
    assert floor.filled() == [101, 101, 101, 101]


def test_a_cancelled_order_fills_nowhere(floor):
    record = floor.buy(4_900, 50)
    floor.world.desk.cancel([record.order_id], WALLET, floor.world.now())
    floor.show(bids=((4_800, 9),), asks=((5_100, 100),), takers=[(*SELL_UP, 500)])
    assert floor.filled() == [0, 0, 0, 0]


def test_settled_results_equal_the_banks(floor):
    floor.buy(5_100, 60)
    world = floor.world
    world.withdrawn(floor.window, world.now())
    world.resolved(floor.window, Outcome.UP, world.now())
    rows = world.fills.report()["wallets"][WALLET]
    cash = world.bank.cash(WALLET)
    assert cash > 1_000 * USD
    assert {rows[name]["cash_e6"] for name in NAMES} == {cash}
    assert {rows[name]["settled_e6"] for name in NAMES} == {cash - 1_000 * USD}
    assert world.fills.totals() == dict.fromkeys(NAMES, rows["exchange"]["pnl"])


def test_the_setting_chooses_the_model():
    config = config_from_settings(load_settings(fill_model="Power"))
    assert config.fill_model is FillModel.POWER
    world = World(replace(config, home=None, recording=None), ManualClock(SECOND_NS * 10**9))
    assert world.fills.report()["fill_model"] == world.status()["fill_model"] == "power"
    world.close()
