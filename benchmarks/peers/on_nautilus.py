"""nautilus_trader with a Python strategy over L2 deltas: see feed.py for the rule.

A binary option at an L2 venue without fees; every delta and print is an object, made beforehand.
"""

import feed
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BookOrder, OrderBookDelta, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    AssetClass,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    RecordFlag,
    TimeInForce,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import BinaryOption
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("BENCH")
INSTRUMENT = BinaryOption(
    instrument_id=InstrumentId(Symbol("UP"), VENUE),
    raw_symbol=Symbol("UP"),
    asset_class=AssetClass.ALTERNATIVE,
    currency=USD,
    price_precision=2,
    size_precision=2,
    price_increment=Price.from_str("0.01"),
    size_increment=Quantity.from_str("0.01"),
    activation_ns=0,
    expiration_ns=4_000_000_000 * feed.SECOND_NS,
    ts_event=0,
    ts_init=0,
)


class RuleConfig(StrategyConfig, frozen=True):
    every_event: bool


class Rule(Strategy):
    def __init__(self, config: RuleConfig) -> None:
        super().__init__(config)
        self.woken = self.sent = self.fills = 0
        self.due_ns = 0

    def on_start(self) -> None:
        if self.config.every_event:
            self.subscribe_order_book_deltas(INSTRUMENT.id, BookType.L2_MBP)
            self.subscribe_trade_ticks(INSTRUMENT.id)
        else:
            self.subscribe_order_book_at_interval(INSTRUMENT.id, BookType.L2_MBP, interval_ms=1000)

    def on_order_book(self, book) -> None:  # type: ignore[no-untyped-def]
        self.act(book)

    def on_order_book_deltas(self, deltas) -> None:  # type: ignore[no-untyped-def]
        self.act(self.cache.order_book(INSTRUMENT.id))

    def on_trade_tick(self, tick) -> None:  # type: ignore[no-untyped-def]
        self.act(self.cache.order_book(INSTRUMENT.id))

    def on_order_filled(self, event) -> None:  # type: ignore[no-untyped-def]
        self.fills += 1

    def act(self, book) -> None:  # type: ignore[no-untyped-def]
        self.woken += 1
        bid, ask = book.best_bid_price(), book.best_ask_price()
        if bid is None or ask is None:
            return
        now_ns = self.clock.timestamp_ns()
        if now_ns < self.due_ns:
            return
        self.due_ns = now_ns + feed.EVERY_S * feed.SECOND_NS
        buys = self.sent % 2 == 0
        self.sent += 1
        self.submit_order(
            self.order_factory.limit(
                instrument_id=INSTRUMENT.id,
                order_side=OrderSide.BUY if buys else OrderSide.SELL,
                quantity=Quantity(feed.SHARES, 2),
                price=ask if buys else bid,
                time_in_force=TimeInForce.IOC,
            )
        )


def objects(folder, rows: int) -> list:  # type: ignore[no-untyped-def,type-arg]
    columns = {name: values.tolist() for name, values in feed.columns(folder, rows).items()}
    sides = (OrderSide.BUY, OrderSide.SELL)
    takers = (AggressorSide.BUYER, AggressorSide.SELLER)
    prices = [Price(cents / 100, 2) for cents in range(101)]
    out = []
    ends = [*columns["ts_ns"][1:], None]
    for number, (ts, recv, kind, side, price, size) in enumerate(
        zip(*(columns[name] for name in feed.COLUMNS[:6]), strict=True)
    ):
        if kind == feed.TRADE:
            trade = TradeId(str(number))
            quantity = Quantity(size / 100, 2)
            out.append(
                TradeTick(INSTRUMENT.id, prices[price], quantity, takers[side], trade, ts, recv)
            )
            continue
        # The rows of one message have one time; the last of them ends it.
        flags = 0 if ends[number] == ts else RecordFlag.F_LAST
        if kind == feed.CLEAR:
            action, order = BookAction.CLEAR, None
        else:
            action = BookAction.UPDATE if size else BookAction.DELETE
            order = BookOrder(sides[side], prices[price], Quantity(size / 100, 2), price)
        out.append(OrderBookDelta(INSTRUMENT.id, action, order, flags, number, ts, recv))
    return out


def main() -> None:
    case, folder, rows = feed.arguments()
    quiet = LoggingConfig(bypass_logging=True)
    engine = BacktestEngine(BacktestEngineConfig(logging=quiet, run_analysis=False))
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=USD,
        starting_balances=[Money(10_000, USD)],
        book_type=BookType.L2_MBP,
    )
    engine.add_instrument(INSTRUMENT)
    data = objects(folder, rows)
    engine.add_data(data)
    rule = Rule(RuleConfig(every_event=case == "every_event"))
    engine.add_strategy(rule)
    watch = feed.Stopwatch()
    engine.run()
    times = watch.read()
    feed.tell(times, events=len(data), wakes=rule.woken, orders=rule.sent, fills=rule.fills)


if __name__ == "__main__":
    main()
