"""The gate every order passes: all policies of the floor, for one agent, in one check.

`Gate` is `risk.policies.PolicyFile` and `risk.limits.Limits` brought down to whole numbers. It is
pure: the facts are given to it. What several processes must keep together (`FloorLimit`) is
checked here against the last known value and then held by a reservation.

Which policies an order must pass: the kill switch, the order rate and the price collar hold for
every order; all others for purchases only, and an order that brings a Greek nearer to zero is
not refused for it. Whoever has shares can always sell them, so nobody is locked into a risk.
"""

from dataclasses import dataclass, field
from math import ceil, inf

import numpy as np
import numpy.typing as npt
from numba import njit

from models.markets import Market, Outcome, Side
from models.orders import OrderRequest
from models.units import PRICE_ONE, SECOND_NS, SHARE, USD, to_price_e4, usd
from risk.limits import Limits, RiskDecision, cost_e6
from risk.policies import Per, PolicyFile

Bits = npt.NDArray[np.uint32]

_NOTHING = (0.0, 0.0, 0.0)
_FREE = 2**62
"""Where there is no limit: more than any sum of ours."""


@dataclass(slots=True)
class Facts:
    """Where agent and floor stand as an order is checked; money in e6, shares in e6.

    What the floor's processes share (`floor_…`, `var_e6`, `greeks`) is as fresh as it was last
    published. Facts that nobody knows keep their defaults and violate nothing.
    """

    free_cash_e6: int
    """Of the agent: capital and results less what is reserved."""
    sellable_e6: int
    """Shares of the order's token that are free to sell."""
    market_open_e6: int = 0
    """The agent's holdings and open BUYs in the order's market, at cost."""
    agent_open_e6: int = 0
    """The same over all its markets."""
    floor_open_e6: int = 0
    """The same of all agents."""
    market_shares_e6: int = 0
    """Shares of the order's outcome in its market, open BUYs counted as filled."""
    other_shares_e6: int = 0
    """Held shares of the other outcome: pairs are no inventory."""
    floor_shares_e6: int = 0
    """One-sided shares of all markets of the floor."""
    agent_day_pnl_e6: int = 0
    floor_day_pnl_e6: int = 0
    other_markets: int = 0
    """Other markets with a position or an open order."""
    sent_second: int = 0
    """Orders sent within the last second."""
    sent_minute: int = 0
    mid_e4: int = 0
    """Mid of the order's token; 0 while a side is empty, which leaves the collar open."""
    left_ns: int = _FREE
    """Until the window ends."""
    var_e6: int = 0
    """The floor's value at risk."""
    greeks: tuple[float, float, float] = _NOTHING
    """The floor's delta, gamma and vega in the order's asset."""
    up_greeks: tuple[float, float, float] = _NOTHING
    """The same of one share of Up in the order's market."""
    killed: str = ""
    """Why the kill switch is thrown; empty while it is not."""


COLUMNS = (
    "buy", "cost_e6", "size_e6", "price_e4", "free_cash_e6", "market_open_e6", "agent_open_e6",
    "floor_open_e6", "market_shares_e6", "other_shares_e6", "floor_shares_e6", "agent_day_pnl_e6",
    "floor_day_pnl_e6", "other_markets", "sent_second", "sent_minute", "mid_e4", "left_ns",
    "var_e6", "sellable_e6",
)  # fmt: skip
"""Columns of `Gate.check_many`, all int64: the order's own, then those of `Facts`."""

_NAMES = (
    "KillSwitch", "OrderRate", "PriceCollar", "shares", "risk_per_trade", "max_position",
    "max_daily_loss", "max_concurrent_trades", "capital", "AgentLimit", "FloorLimit", "DailyLoss",
    "PositionLimit", "InventoryLimit", "ExpiryCutoff", "VarLimit", "GreeksLimit",
)  # fmt: skip
"""Names of policies by their bit; `risk_per_trade` is TradeLimit or the agent's own, whichever
is less, and so are `max_position`, `max_daily_loss` and `max_concurrent_trades`."""
_BIT = {name: 1 << index for index, name in enumerate(_NAMES)}


@dataclass(slots=True)
class Gate:
    """Checks one agent's orders. Build a new one when policies or limits change.

    Parameters
    ----------
    file
        The floor's policies.
    limits
        The agent's own; where both limit the same thing the stricter one counts.
    capital_e6
        The floor's capital, of which shares are taken where the file names none.
    share
        Part of its usual size an order may have, while a breaker is on trial.
    """

    file: PolicyFile
    limits: Limits
    capital_e6: int
    share: float = 1.0
    trade_e6: int = field(init=False, default=0)
    market_e6: int = field(init=False, default=0)
    agent_e6: int = field(init=False, default=_FREE)
    floor_e6: int = field(init=False, default=_FREE)
    agent_loss_e6: int = field(init=False, default=_FREE)
    floor_loss_e6: int = field(init=False, default=_FREE)
    markets: int = field(init=False, default=0)
    market_shares_e6: int = field(init=False, default=_FREE)
    floor_shares_e6: int = field(init=False, default=_FREE)
    inventory_e6: int = field(init=False, default=_FREE)
    per_second: int = field(init=False, default=_FREE)
    per_minute: int = field(init=False, default=_FREE)
    collar_e4: int = field(init=False, default=PRICE_ONE)
    cutoff_ns: int = field(init=False, default=-_FREE)
    var_limit_e6: int = field(init=False, default=_FREE)
    greeks: tuple[float, float, float] = field(init=False, default=(inf, inf, inf))
    thrown: bool = field(init=False, default=False)
    _row: npt.NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        file, own = self.file, self.limits
        capital = file.capital_e6(self.capital_e6)

        def money(name: str, per: str | None = None) -> int:
            policy = file.find(name, per)
            return _FREE if policy is None else int(policy.limit_e6(capital))

        def shares(per: Per) -> int:
            policy = file.find("PositionLimit", per)
            return _FREE if policy is None else int(policy.max_shares * SHARE)

        self.trade_e6 = int(min(own.risk_per_trade_e6, money("TradeLimit")) * self.share)
        self.market_e6 = own.max_position_e6
        self.agent_e6, self.floor_e6 = money("AgentLimit"), money("FloorLimit")
        self.agent_loss_e6 = min(own.max_daily_loss_e6, money("DailyLoss", "agent"))
        self.floor_loss_e6 = money("DailyLoss", "floor")
        self.inventory_e6 = money("InventoryLimit")
        self.market_shares_e6, self.floor_shares_e6 = shares(Per.MARKET), shares(Per.FLOOR)
        most = file.find("ConcurrentTrades")
        self.markets = min(own.max_concurrent_trades, most.max_markets if most else _FREE)
        if rate := file.find("OrderRate"):
            self.per_second, self.per_minute = rate.per_second, rate.per_minute
        if collar := file.find("PriceCollar"):
            self.collar_e4 = to_price_e4(round(collar.max_distance, 4))
        if cutoff := file.find("ExpiryCutoff"):
            self.cutoff_ns = ceil(cutoff.min_seconds * SECOND_NS)
        if var := file.find("VarLimit"):
            self.var_limit_e6 = int(var.max_usd * USD)
        if greeks := file.find("GreeksLimit"):
            self.greeks = tuple(  # type: ignore[assignment]
                inf if value is None else value
                for value in (greeks.delta, greeks.gamma, greeks.vega)
            )
        switch = file.find("KillSwitch")
        self.thrown = switch is not None and switch.thrown
        self._row = np.array(
            [
                self.trade_e6, self.market_e6, self.agent_e6, self.floor_e6, self.agent_loss_e6,
                self.floor_loss_e6, self.markets, self.market_shares_e6, self.floor_shares_e6,
                self.inventory_e6, self.per_second, self.per_minute, self.collar_e4,
                self.cutoff_ns, self.var_limit_e6,
            ],
            np.int64,
        )  # fmt: skip

    def check(self, request: OrderRequest, market: Market, facts: Facts) -> RiskDecision:
        """Check one order against every policy; each that is violated is named with its figures.

        A decision that allows carries the order's worst cost, which is what must be reserved.
        """
        size, price, mid = request.size_e6, request.price_e4, facts.mid_e4
        usual = (
            not facts.killed
            and not self.thrown
            and facts.sent_second < self.per_second
            and facts.sent_minute < self.per_minute
        )
        if request.side is Side.SELL:
            near = mid == 0 or price >= mid - self.collar_e4
            if usual and near and size <= facts.sellable_e6:
                return _SELL_ALLOWED
            return self._refuse(request, facts, 0)
        cost = cost_e6(request, market)
        held = facts.market_shares_e6 + size
        unpaired = held - facts.other_shares_e6
        if (
            usual
            and (mid == 0 or price <= mid + self.collar_e4)
            and cost <= self.trade_e6
            and cost <= facts.free_cash_e6
            and facts.market_open_e6 + cost <= self.market_e6
            and facts.agent_open_e6 + cost <= self.agent_e6
            and facts.floor_open_e6 + cost <= self.floor_e6
            and facts.agent_day_pnl_e6 > -self.agent_loss_e6
            and facts.floor_day_pnl_e6 > -self.floor_loss_e6
            and facts.other_markets < self.markets
            and held <= self.market_shares_e6
            and facts.floor_shares_e6 + size <= self.floor_shares_e6
            and unpaired * price <= self.inventory_e6 * PRICE_ONE
            and facts.left_ns >= self.cutoff_ns
            and facts.var_e6 + cost <= self.var_limit_e6
            and (facts.up_greeks is _NOTHING or not self._greeks_over(request, facts))
        ):
            return RiskDecision(True, (), (), cost)
        return self._refuse(request, facts, cost)

    def room_e6(self, facts: Facts) -> int:
        """Cash all further BUYs in a market together may cost without passing a limit of money.

        What bounds shares, prices and Greeks is not in it; `check` has the last word.
        """
        if (
            facts.killed
            or self.thrown
            or facts.other_markets >= self.markets
            or facts.agent_day_pnl_e6 <= -self.agent_loss_e6
            or facts.floor_day_pnl_e6 <= -self.floor_loss_e6
        ):
            return 0
        return max(
            0,
            min(
                facts.free_cash_e6,
                self.market_e6 - facts.market_open_e6,
                self.agent_e6 - facts.agent_open_e6,
                self.floor_e6 - facts.floor_open_e6,
                self.var_limit_e6 - facts.var_e6,
            ),
        )

    def check_many(self, columns: npt.NDArray[np.int64], killed: bool = False) -> Bits:
        """Check many orders at once; everything `check` does but the Greeks.

        Parameters
        ----------
        columns
            Shape (orders, len(COLUMNS)), in the order of `COLUMNS`.

        Returns
        -------
        numpy.ndarray
            A set of bits per order, 0 where it is allowed; `names_of` tells the policies.
        """
        out = np.zeros(len(columns), np.uint32)
        _many(columns, self._row, killed or self.thrown, out)
        return out

    def _greeks_over(self, request: OrderRequest, facts: Facts) -> bool:
        """Whether an order would bring a Greek beyond its limit, or further beyond."""
        shares = request.size_e6 / SHARE
        if (request.outcome is Outcome.UP) is not (request.side is Side.BUY):
            shares = -shares
        delta, gamma, vega = facts.greeks
        by_delta, by_gamma, by_vega = facts.up_greeks
        most_delta, most_gamma, most_vega = self.greeks
        after = abs(delta + shares * by_delta)
        if after > most_delta and after > abs(delta):
            return True
        after = abs(gamma + shares * by_gamma)
        if after > most_gamma and after > abs(gamma):
            return True
        after = abs(vega + shares * by_vega)
        return after > most_vega and after > abs(vega)

    def _refuse(self, request: OrderRequest, facts: Facts, cost: int) -> RiskDecision:
        """Name every violated policy. Slow, for orders that are refused."""
        row = [
            int(request.side is Side.BUY), cost, request.size_e6, request.price_e4,
            *(getattr(facts, name) for name in COLUMNS[4:]),
        ]  # fmt: skip
        killed = bool(facts.killed) or self.thrown
        out = np.zeros(1, np.uint32)
        _many(np.array([row], np.int64), self._row, killed, out)
        names = list(names_of(int(out[0])))
        if request.side is Side.BUY and self._greeks_over(request, facts):
            names.append("GreeksLimit")
        reasons = tuple(f"{name}: {self._reason(name, request, facts, cost)}"
                        for name in names)  # fmt: skip
        return RiskDecision(False, tuple(names), reasons, cost)

    def _reason(self, name: str, request: OrderRequest, facts: Facts, cost: int) -> str:
        """What a policy counted, and its limit, in words."""
        held = facts.market_shares_e6 + request.size_e6
        worth = (held - facts.other_shares_e6) * request.price_e4 // PRICE_ONE
        everywhere = facts.floor_shares_e6 + request.size_e6
        texts = {
            "KillSwitch": facts.killed or "thrown in the policy file",
            "OrderRate": f"{facts.sent_second} orders in a second and {facts.sent_minute} in a "
            f"minute, limits {self.per_second} and {self.per_minute}",
            "PriceCollar": f"price {request.price_e4 / PRICE_ONE:g} against a mid of "
            f"{facts.mid_e4 / PRICE_ONE:g}, limit {self.collar_e4 / PRICE_ONE:g} away",
            "shares": f"selling {request.size_e6 / SHARE:.2f} {request.outcome} but "
            f"{facts.sellable_e6 / SHARE:.2f} are free to sell",
            "risk_per_trade": _money("the order costs", cost, self.trade_e6),
            "max_position": _money("the market at cost", facts.market_open_e6 + cost,
                                   self.market_e6),
            "max_daily_loss": _money("today's loss", -facts.agent_day_pnl_e6, self.agent_loss_e6),
            "max_concurrent_trades": f"in {facts.other_markets} other markets, "
            f"limit {self.markets}",
            "capital": _money("the order costs", cost, facts.free_cash_e6),
            "AgentLimit": _money("the agent at cost", facts.agent_open_e6 + cost, self.agent_e6),
            "FloorLimit": _money("the floor at cost", facts.floor_open_e6 + cost, self.floor_e6),
            "DailyLoss": _money("the floor's loss today", -facts.floor_day_pnl_e6,
                                self.floor_loss_e6),
            "PositionLimit": f"{held / SHARE:.2f} shares in the market and "
            f"{everywhere / SHARE:.2f} on the floor, "
            f"limits {_count(self.market_shares_e6)} and {_count(self.floor_shares_e6)}",
            "InventoryLimit": _money("unpaired shares are worth", worth, self.inventory_e6),
            "ExpiryCutoff": f"{facts.left_ns / SECOND_NS:.1f} s of the window are left, "
            f"limit {self.cutoff_ns / SECOND_NS:g} s",
            "VarLimit": _money("value at risk may become", facts.var_e6 + cost,
                               self.var_limit_e6),
            "GreeksLimit": _greeks(request, facts, self.greeks),
        }  # fmt: skip
        return texts[name]


_SELL_ALLOWED = RiskDecision(True)


def names_of(bits: int) -> tuple[str, ...]:
    """Names of the policies in a set of bits, in their order."""
    return tuple(name for name in _NAMES if bits & _BIT[name])


def _money(what: str, value_e6: int, limit_e6: int) -> str:
    return f"{what} ${usd(value_e6)}, limit ${usd(limit_e6)}"


def _greeks(request: OrderRequest, facts: Facts, limits: tuple[float, float, float]) -> str:
    shares = request.size_e6 / SHARE * (1 if request.outcome is Outcome.UP else -1)
    return ", ".join(
        f"{name} of {now + shares * each:.4g}, limit {limit:.4g}"
        for name, now, each, limit in zip(
            ("delta", "gamma", "vega"), facts.greeks, facts.up_greeks, limits, strict=True
        )
        if limit < inf
    )


def _count(shares_e6: int) -> str:
    return "none" if shares_e6 == _FREE else f"{shares_e6 / SHARE:g}"


@njit(cache=True)
def _many(
    columns: npt.NDArray[np.int64], limits: npt.NDArray[np.int64], killed: bool, out: Bits
) -> None:
    """The policies once more, compiled; `tests/risk/test_gate.py` holds both to the same."""
    (
        trade, market, agent, floor, agent_loss, floor_loss, markets, market_shares,
        floor_shares, inventory, per_second, per_minute, collar, cutoff, var_limit,
    ) = limits  # fmt: skip
    for index in range(len(columns)):
        (
            buy, cost, size, price, cash, market_open, agent_open, floor_open, shares, other,
            everywhere, agent_pnl, floor_pnl, others, second, minute, mid, left, var, sellable,
        ) = columns[index]  # fmt: skip
        bits = 0
        if killed:
            bits |= 1
        if second >= per_second or minute >= per_minute:
            bits |= 2
        if not buy:
            if mid and price < mid - collar:
                bits |= 4
            if size > sellable:
                bits |= 8
            out[index] = bits
            continue
        if mid and price > mid + collar:
            bits |= 4
        if cost > trade:
            bits |= 16
        if market_open + cost > market:
            bits |= 32
        if agent_pnl <= -agent_loss:
            bits |= 64
        if others >= markets:
            bits |= 128
        if cost > cash:
            bits |= 256
        if agent_open + cost > agent:
            bits |= 512
        if floor_open + cost > floor:
            bits |= 1024
        if floor_pnl <= -floor_loss:
            bits |= 2048
        if shares + size > market_shares or everywhere + size > floor_shares:
            bits |= 4096
        # Only where there is a limit: the product of a larger one would pass 64 bits.
        if inventory < 400_000_000_000_000 and (shares + size - other) * price > inventory * 10_000:
            bits |= 8192
        if left < cutoff:
            bits |= 16384
        if var + cost > var_limit:
            bits |= 32768
        out[index] = bits
