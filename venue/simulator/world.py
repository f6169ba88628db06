"""The whole simulated venue, without its network: one clock, one core, one memory."""

import asyncio
import secrets
from typing import Any

import msgspec
import structlog

from engine.ports import Clock
from models.markets import TIMEFRAMES, Outcome
from models.units import DAY_NS, PRICE_ONE, SECOND_NS
from venue.simulator import mirror, mischief
from venue.simulator.auth import ApiKey, Keyring
from venue.simulator.bank import PROVIDER, TAKER, Bank
from venue.simulator.clerk import Clerk
from venue.simulator.config import SimulatorConfig
from venue.simulator.core import VenueExchange
from venue.simulator.desk import Desk, core_order
from venue.simulator.faults import FaultBoard
from venue.simulator.fills import FillBoard
from venue.simulator.hearts import Hearts
from venue.simulator.journal import Journal
from venue.simulator.life import Life
from venue.simulator.limits import Limits
from venue.simulator.liquidity import Demand, Step
from venue.simulator.mirror import Mirror
from venue.simulator.rebates import Rebates
from venue.simulator.records import CANCELED, DELAYED, OrderRecord, TradeRecord
from venue.simulator.restore import restore
from venue.simulator.schedule import Schedule
from venue.simulator.settle import Settlements
from venue.simulator.sockets import Hub
from venue.simulator.sources import choose
from venue.simulator.spot import twap_e8
from venue.simulator.tape import Outbox, Tape
from venue.simulator.ways import OrderWay, feed_way
from venue.simulator.windows import Registry, Window
from venue.simulator.ws_live import LiveChannel
from venue.simulator.ws_prices import Price, PriceChannel
from venue.simulator.ws_user import UserChannel

log = structlog.get_logger(__name__)


class World:
    """Everything behind the handlers. `advance` first, then act, then `commit`."""

    def __init__(self, config: SimulatorConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self.sources = choose(config) if config.mirror is None else None
        self.journal = Journal(config.home / "simulator.sqlite" if config.home else None)
        self.exchange = VenueExchange(config.exchange)
        self.registry = Registry()
        self.schedule = Schedule()
        self.schedule.now_ns = clock.now_ns()
        self.keyring = Keyring(self._root_secret())
        self.bank = Bank(self.exchange, self.journal, config.capital_e6)
        self.desk = Desk(self.exchange, self.bank, self.journal)
        self.outbox = Outbox()
        self.tape = Tape(self.exchange, self.outbox)
        self.users = UserChannel(self.keyring)
        self.prices = PriceChannel()
        self.live = LiveChannel(self.keyring, self.prices)
        self.faults = FaultBoard()
        self.limits = Limits(config.rate_limits)
        self.hearts = Hearts(config.heartbeat_silence_ms)
        self._stale: dict[tuple[str, str], int] = {}
        self._trading: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self.clerk = Clerk(
            self.desk, self.bank, self.journal, self.registry, self.tape, self.users, self.outbox
        )
        self.settlements = Settlements(self)
        self.rebates = Rebates(self.exchange, self.bank, self.journal)
        self.fills = FillBoard(
            self.exchange, self.bank, self.journal, self.registry, config.fill_model,
            live=config.mirror is not None,
        )  # fmt: skip
        self.mirror = Mirror(self, config.mirror) if config.mirror is not None else None
        self.life = self.mirror or self._calendar()
        self.order_way = OrderWay(config.order_latency, config.seed, self.schedule)
        for number, hub in enumerate((self.tape.channel.hub, self.prices.hub, self.live.hub)):
            hub.later = feed_way(config.feed_latency, config.seed + 1 + number, self.schedule)
        self._wire_up()

    def _calendar(self) -> Life:
        sources = self.sources or choose(self.config)
        life = Life(
            self.config, self.schedule, self.registry, self.journal, self, sources.of,
            sources.paths,
        )  # fmt: skip
        life.mid_e4 = self._mid_e4
        life.late_ms = self._late_ms
        return life

    def _wire_up(self) -> None:
        self.desk.absorb = self.clerk.absorb
        self.clerk.life = self.life
        self.clerk.on_trade = self._traded
        self.clerk.on_event = self.fills.heard
        self.tape.window_of = self.registry.by_token.get
        self.tape.now_ns = self.now

    def _traded(self, trade: TradeRecord, now_ns: int) -> None:
        self.settlements.matched(trade, now_ns)
        self.rebates.note(trade)

    def _root_secret(self) -> bytes:
        root = self.journal.read_meta("root")
        if root is None:
            root = secrets.token_bytes(32)
            self.journal.meta("root", root)
        return root

    # --- time ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Take back what the disk knows, list the windows, start the clockwork."""
        now = self.now()
        self.fills.restore()
        restore(self)
        self.schedule.at(now, self.rebates.pay)
        self.life.start(now)
        self.schedule.every(SECOND_NS, self._second)
        self.schedule.every(DAY_NS // 24, self._tidy)
        self.schedule.every(DAY_NS, self.rebates.pay)
        self._second(now - now % SECOND_NS)
        self.advance()
        self.commit()

    def now(self) -> int:
        """Time up to which everything has happened, in ns."""
        return self.schedule.now_ns

    def told_time_ns(self) -> int:
        """The time the venue tells its clients."""
        skew = self.faults.get("clock-skew", self.now())
        offset = float(skew.params.get("offset", 30)) if skew else 0.0
        return self._clock.now_ns() + round(offset * SECOND_NS)

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        now = self._clock.now_ns()
        self.schedule.run(now)
        self.clerk.absorb(self.exchange.advance(now), now)

    def commit(self) -> None:
        """Write what changed, then tell it."""
        self.bank.flush()
        self.fills.save()
        self.journal.commit()
        self.outbox.release()

    async def committed(self) -> None:
        """Commit together with everybody else of this turn of the event loop.

        One transaction then carries the orders of many clients; each is answered after it.
        """
        waiter = asyncio.get_running_loop().create_future()
        if not self._waiting:
            waiter.get_loop().call_soon(self._commit_turn)
        self._waiting.append(waiter)
        await waiter

    @property
    def unwritten(self) -> bool:
        """Whether changes wait for this turn's commit; until then nobody may be told of them."""
        return bool(self._waiting)

    def _commit_turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        failed: Exception | None = None
        try:
            self.commit()
        except Exception as error:
            failed = error
        for waiter in waiting:
            if waiter.done():
                continue
            if failed is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(failed)

    def _second(self, now_ns: int) -> None:
        paths = self.sources.paths if self.sources is not None else {}
        for asset, path in paths.items():
            at_s = now_ns // SECOND_NS
            spot = path.price_e8(now_ns)
            for kind, price in (
                ("binance", spot),
                ("chainlink", spot),
                ("twap30", twap_e8(path, at_s, 30)),
                ("twap60", twap_e8(path, at_s, 60)),
            ):
                tick = Price(asset, kind, at_s * SECOND_NS, price)
                self.prices.publish(tick)
                self.live.publish(tick)
        for key in self.hearts.silent(now_ns):
            self._cancel_key(key, now_ns)

    def _cancel_key(self, key: str, now_ns: int) -> None:
        orders = self.desk.open_of(key)
        if orders:
            log.info("heartbeat_missed", key=key, orders=len(orders))
            owner = orders[0].owner
            self.desk.cancel([order.order_id for order in orders], owner, now_ns)

    def _tidy(self, now_ns: int) -> None:
        self.journal.forget(now_ns - 2 * DAY_NS)

    # --- markets ------------------------------------------------------------------------------

    def listed(self, window: Window, at_ns: int) -> None:
        self.exchange.add_market(window.market, taker_delay_ms=self.config.taker_delay_ms)
        self.fills.listed(window)
        self._trading.add(window.condition_id)
        self.tape.listed(window, at_ns)

    def reopen(self, window: Window, now_ns: int) -> None:
        """Put a window of an earlier life back on the exchange."""
        self.exchange.add_market(window.market, taker_delay_ms=self.config.taker_delay_ms)
        self.fills.listed(window)
        if now_ns < window.market.end_ns:
            self._trading.add(window.condition_id)

    def reenter(self, order: OrderRecord, now_ns: int) -> None:
        """Put an open order of an earlier life back into its book.

        What was in its taker delay when the process died waits for that long once more, so that
        it meets a book that is there again. What should have been over at once never met it.
        """
        if order.status == DELAYED:
            due_ns = now_ns + self.config.taker_delay_ms * 1_000_000
            self.exchange.restore_order(core_order(order), 0, 0, now_ns, due_ns=due_ns)
            return
        if order.tif.immediate:
            order.status = CANCELED
            self.desk.close(order)
            self.journal.order(order)
            return
        events = self.exchange.restore_order(
            core_order(order), order.matched_e6, order.cash_e6, now_ns
        )
        self.fills.reentered(order, now_ns)
        self.clerk.absorb(events, now_ns)

    def stepped(self, window: Window, demand: Demand, step: Step, at_ns: int) -> None:
        self.clerk.absorb(self.exchange.advance(at_ns), at_ns)
        self.fills.arrange(window)
        for taker in step.takers:
            token = window.market.token(taker.outcome)
            self.clerk.absorb(
                self.exchange.take(
                    window.condition_id, TAKER, token, taker.side, taker.price_e4,
                    taker.size_e6, at_ns,
                ),
                at_ns,
            )  # fmt: skip
        bids, asks = demand.target(step)
        events = self.exchange.impose(window.condition_id, PROVIDER, bids, asks, at_ns)
        demand.met(events, bids, asks)
        self.clerk.absorb(events, at_ns)
        self.fills.stepped(window, step, at_ns)
        self.fills.arrange(window)

    def withdrawn(self, window: Window, at_ns: int) -> None:
        self._trading.discard(window.condition_id)
        events = self.exchange.impose(window.condition_id, PROVIDER, [], [], at_ns)
        self.clerk.absorb(events, at_ns)

    def resolved(self, window: Window, winner: Outcome, at_ns: int) -> None:
        window.winner, window.resolved_ns = winner, at_ns
        self.clerk.absorb(self.exchange.resolve(window.condition_id, winner, at_ns), at_ns)
        self.fills.resolved(window, winner, at_ns)
        if not self.faults.on("absent-resolution", at_ns):
            self.tape.resolved(window, at_ns)
        # Trades of the last second may still fail and be undone; then nobody needs the book.
        later = at_ns + (max(self.config.settle_ms) + 60_000) * 1_000_000
        self.schedule.at(later, lambda due: self._put_away(window))

    def _put_away(self, window: Window) -> None:
        self.exchange.remove_market(window.condition_id)
        self.desk.forget_closed(window.condition_id)

    def traded(self, window: Window) -> bool:
        return self.desk.traded(window.condition_id)

    def forgotten(self, window: Window) -> None:
        self.desk.forget_closed(window.condition_id)

    def accepting(self, window: Window) -> bool:
        return window.condition_id in self._trading

    def strike_known(self, window: Window) -> bool:
        lag = self.config.strike_lag_ms * 1_000_000
        return window.opening_e8 is not None and self.now() >= window.market.start_ns + lag

    def book(self, window: Window, token: str) -> tuple[list[tuple[int, int]], ...]:
        return self.exchange.book(window.condition_id, window.market.outcome(token))

    def best(self, window: Window) -> tuple[int, int]:
        """Up's best bid and ask in e4; 0 and 10 000 where a side is empty."""
        if window.closed:
            return (PRICE_ONE, PRICE_ONE) if window.winner is Outcome.UP else (0, 0)
        bids, asks = self.exchange.book(window.condition_id, Outcome.UP)
        return (bids[0][0] if bids else 0, asks[0][0] if asks else PRICE_ONE)

    def _mid_e4(self, window: Window) -> int:
        bid, ask = self.best(window)
        return (bid + ask) // 2

    def _late_ms(self, now_ns: int) -> int:
        fault = self.faults.get("late-resolution", now_ns)
        return round(float(fault.params.get("delay", 60)) * 1000) if fault else 0

    # --- keys, balances -----------------------------------------------------------------------

    def create_key(self, address: str, nonce: int) -> ApiKey:
        key, generation = self.keyring.create(address, nonce)
        self.journal.key(key, generation, live=True)
        self.bank.open(address, address)
        return key

    def revoke_key(self, key: ApiKey) -> None:
        self.journal.key(key, self.keyring.revoke(key), live=False)
        self.hearts.forget(key.key)

    def beat(self, key: ApiKey, given: str) -> str:
        """Hear a heartbeat and remember it."""
        following = self.hearts.beat(key, given, self.now())
        self.journal.meta("hearts", msgspec.json.encode(self.hearts.export()))
        return following

    def told_balance(self, wallet: str, owner: str, token: str) -> int:
        """What balance-allowance says: the truth, or an old truth while that fault is on."""
        self.bank.open(wallet, owner)
        true = self.bank.amount(wallet, token)
        if not self.faults.on("stale-balance", self.now()):
            self._stale.clear()
            return true
        return self._stale.setdefault((wallet, token), true)

    def refresh_balance(self, wallet: str, owner: str) -> None:
        self.bank.open(wallet, owner)
        self._stale = {key: value for key, value in self._stale.items() if key[0] != wallet}

    # --- faults and status --------------------------------------------------------------------

    def fault_on(self, name: str) -> bool:
        return self.faults.on(name, self.now())

    def edge_scale(self) -> float:
        """How much of the usual limits per address applies now."""
        fault = self.faults.get("address-limit", self.now())
        return 1.0 if fault is None else max(1e-6, float(fault.params.get("scale", 0.01)))

    def set_fault(self, name: str, params: dict[str, Any]) -> None:
        mischief.switch_on(self, name, params)

    def clear_fault(self, name: str | None) -> None:
        mischief.switch_off(self, name)

    @property
    def liquidity(self) -> str:
        """``replay``, ``model`` or ``mirror``."""
        return self.sources.name if self.sources is not None else mirror.NAME

    @property
    def description(self) -> str:
        return self.sources.description if self.sources is not None else mirror.DESCRIPTION

    def status(self) -> dict[str, Any]:
        windows = [w for w in self.registry.all() if not w.closed]
        return {
            "liquidity": self.liquidity,
            "description": self.description,
            "window_seconds": self.config.window_seconds
            or TIMEFRAMES[self.config.series[0].timeframe],
            "seed": self.config.seed,
            "now_ns": self.now(),
            "initial_capital_usd": self.config.capital_e6 / 1_000_000,
            "funding": "a wallet that authenticates for the first time is given this much pUSD",
            "redemption": "winners are paid 1 pUSD a share at resolution, as by the venue's "
            "auto-redeem operator",
            "taker_delay_ms": self.config.taker_delay_ms,
            "windows": [
                {
                    "slug": w.market.slug,
                    "settlement": w.market.settlement.value,
                    "accepting": self.accepting(w),
                }
                for w in windows
            ],
            "live_feed": self.mirror.feed.value if self.mirror is not None else None,
            "fill_model": self.config.fill_model.value,
            "feed_latency": str(self.config.feed_latency),
            "order_latency": str(self.config.order_latency),
            "pnl": self.fills.totals(),
            "open_orders": self.desk.open_count(),
            "unsettled_trades": len(self.desk.unsettled()),
            "faults": self.faults.active(self.now()),
        }

    def hubs(self) -> list[Hub]:
        return [self.tape.channel.hub, self.users.hub, self.prices.hub, self.live.hub]

    def close(self) -> None:
        self.journal.close()
