"""Short ways to build markets, orders and exchanges for the matching tests."""

from engine.matching import Exchange
from engine.matching.types import (
    Cancelled,
    CoreEvent,
    CoreOrder,
    CoreTrade,
    ExchangeConfig,
    LevelChanged,
    Matched,
)
from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import TimeInForce
from models.units import SECOND_NS, SHARE, USD, notional_e6

FEE = FeeSchedule(rate_ppm=70_000, exponent=1, rebate_ppm=200_000)
NOW = 1_800_000_000 * SECOND_NS
UP, DOWN = Outcome.UP, Outcome.DOWN
BUY, SELL = Side.BUY, Side.SELL
GTC, GTD, FOK, FAK = TimeInForce.GTC, TimeInForce.GTD, TimeInForce.FOK, TimeInForce.FAK


def make_market(name: str = "m", tick_e4: int = 100, fee: FeeSchedule = FEE) -> Market:
    return Market(
        condition_id=name,
        slug=f"btc-updown-15m-{name}",
        question="Bitcoin Up or Down",
        asset="BTC",
        timeframe="15m",
        up_token=f"{name}-up",
        down_token=f"{name}-down",
        start_ns=NOW,
        end_ns=NOW + 900 * SECOND_NS,
        tick_e4=tick_e4,
        min_size_e6=5 * SHARE,
        fee=fee,
    )


def make_exchange(
    market: Market | None = None,
    *,
    config: ExchangeConfig | None = None,
    delay_ms: int = 0,
    cash: int = 1_000 * USD,
    shares: int = 0,
    accounts: tuple[str, ...] = ("ann", "bob", "cyd"),
) -> Exchange:
    """An exchange with one market, three limited accounts and the unlimited `lp`."""
    market = market or make_market()
    exchange = Exchange(config)
    exchange.add_market(market, taker_delay_ms=delay_ms)
    for account in accounts:
        exchange.open_account(account, cash)
        for token in (market.up_token, market.down_token):
            if shares:
                exchange.deposit_shares(account, token, shares)
    exchange.open_account("lp", unlimited=True)
    return exchange


def make_order(
    order_id: str,
    account: str,
    outcome: Outcome,
    side: Side,
    price_e4: int,
    shares: float,
    tif: TimeInForce = GTC,
    *,
    post_only: bool = False,
    expires_s: int = 0,
    cash_e6: int | None = None,
    market: str = "m",
) -> CoreOrder:
    """An order for so many shares, or a market BUY for `cash_e6`."""
    size = round(shares * SHARE)
    cash = notional_e6(price_e4, size) if cash_e6 is None else cash_e6
    return CoreOrder(
        order_id=order_id,
        account=account,
        condition_id=market,
        token_id=f"{market}-{outcome.value.lower()}",
        side=side,
        price_e4=price_e4,
        maker_amount_e6=cash if side is BUY else size,
        taker_amount_e6=size if side is BUY else cash,
        size_e6=size,
        tif=tif,
        post_only=post_only,
        expires_s=expires_s,
        created_ns=NOW,
    )


def trades(events: list[CoreEvent]) -> list[CoreTrade]:
    return [event.trade for event in events if isinstance(event, Matched)]


def ends(events: list[CoreEvent]) -> list[Cancelled]:
    return [event for event in events if isinstance(event, Cancelled)]


def levels(events: list[CoreEvent]) -> list[tuple[Side, int, int]]:
    return [(e.side, e.price_e4, e.size_e6) for e in events if isinstance(e, LevelChanged)]
