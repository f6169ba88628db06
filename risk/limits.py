"""What one agent may do: a pure check of every order before it is sent.

The check is exact integer arithmetic over facts given to it. An order that only gives up shares
already held is always allowed, whatever the limits say: nobody is ever locked into a risk.
"""

from dataclasses import dataclass
from typing import Self

import msgspec

from models.agents import AgentSpec
from models.errors import ConfigError
from models.markets import Market, Side
from models.orders import Order, OrderRequest
from models.settings import Settings
from models.units import SHARE, to_cash_e6, usd
from risk.sizing import worst_cost_e6


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one agent; money in e6 of cash.

    ``risk_per_trade_e6`` is the most one order may cost, ``max_position_e6`` the most the agent
    may have at cost in one market (open BUY orders counted as filled), ``max_daily_loss_e6`` the
    loss in one UTC day after which buying stops, ``max_concurrent_trades`` the number of markets
    in which it may hold a position or an order.
    """

    capital_e6: int
    risk_per_trade_e6: int
    max_position_e6: int
    max_daily_loss_e6: int
    max_concurrent_trades: int

    def __post_init__(self) -> None:
        for name in ("capital_e6", "risk_per_trade_e6", "max_position_e6", "max_daily_loss_e6"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"limit {name}={getattr(self, name)} must be above zero")
        if self.max_concurrent_trades < 1:
            raise ConfigError(
                f"limit max_concurrent_trades={self.max_concurrent_trades} must be at least 1"
            )

    @classmethod
    def of(cls, settings: Settings, spec: AgentSpec) -> Self:
        """Limits of an agent: its own where its file names one, else the settings'."""
        risk = spec.risk
        return cls(
            capital_e6=spec.capital_e6,
            risk_per_trade_e6=to_cash_e6(risk.risk_per_trade_usd or settings.risk_per_trade),
            max_position_e6=to_cash_e6(risk.max_position_usd or settings.max_position_size),
            max_daily_loss_e6=to_cash_e6(risk.max_daily_loss_usd or settings.max_daily_loss),
            max_concurrent_trades=(
                risk.max_concurrent_trades or settings.max_concurrent_trades_per_agent
            ),
        )


@dataclass(frozen=True, slots=True)
class Exposure:
    """Where an agent stands as one order is checked; money in e6 of cash, sizes in e6 shares.

    ``committed_e6`` is what the market's holdings cost plus what its open BUY orders may still
    cost, ``other_markets`` the number of *other* markets with a position or an open order, and
    ``day_pnl_e6`` the result of this UTC day, open holdings at their mark.
    """

    free_cash_e6: int
    sellable_e6: int
    committed_e6: int
    day_pnl_e6: int
    other_markets: int


class RiskDecision(msgspec.Struct, frozen=True):
    """Whether an order may be sent, and if not, why: one text per violated policy."""

    allowed: bool
    violated_policies: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    cost_e6: int = 0
    """What the order may cost at worst, fee included; zero for a SELL."""
    reserved: int = 0
    """What is reserved for all the agent has open, this order included, in e6 of cash."""

    @property
    def text(self) -> str:
        return "; ".join(self.reasons)


def cost_e6(request: OrderRequest, market: Market) -> int:
    """Return what an order may cost at worst, fee included, in e6; zero for a SELL."""
    if request.side is Side.SELL:
        return 0
    return worst_cost_e6(
        request.price_e4, request.size_e6, market.fee, request.tif, request.post_only
    )


def open_cost_e6(order: Order, market: Market) -> int:
    """Return what an order that is open may still cost at worst, in e6; zero for a SELL."""
    request = order.request
    if request.side is Side.SELL:
        return 0
    return worst_cost_e6(
        request.price_e4, order.open_e6, market.fee, request.tif, request.post_only
    )


def room_e6(exposure: Exposure, limits: Limits) -> int:
    """Cash all further BUYs in this market together may cost without violating a limit, in e6."""
    if exposure.other_markets >= limits.max_concurrent_trades:
        return 0
    if exposure.day_pnl_e6 <= -limits.max_daily_loss_e6:
        return 0
    return max(0, min(limits.max_position_e6 - exposure.committed_e6, exposure.free_cash_e6))


def headroom_e6(exposure: Exposure, limits: Limits) -> int:
    """Cash one more BUY in this market may cost without violating a limit, in e6."""
    return min(limits.risk_per_trade_e6, room_e6(exposure, limits))


def check(
    request: OrderRequest, exposure: Exposure, limits: Limits, market: Market
) -> RiskDecision:
    """Check one order against every limit; each violated one is named with value and limit."""
    if request.side is Side.SELL:
        return _check_sell(request, exposure)
    cost = cost_e6(request, market)
    found: list[tuple[str, str]] = []
    if cost > limits.risk_per_trade_e6:
        found.append(_money("risk_per_trade", "the order costs", cost, limits.risk_per_trade_e6))
    after = exposure.committed_e6 + cost
    if after > limits.max_position_e6:
        found.append(_money("max_position", "the market at cost", after, limits.max_position_e6))
    if exposure.day_pnl_e6 <= -limits.max_daily_loss_e6:
        lost = -exposure.day_pnl_e6
        found.append(_money("max_daily_loss", "today's loss", lost, limits.max_daily_loss_e6))
    if exposure.other_markets >= limits.max_concurrent_trades:
        markets = f"in {exposure.other_markets} other markets, limit {limits.max_concurrent_trades}"
        found.append(("max_concurrent_trades", f"max_concurrent_trades: {markets}"))
    if cost > exposure.free_cash_e6:
        found.append(_money("capital", "the order costs", cost, exposure.free_cash_e6))
    names = tuple(name for name, _ in found)
    return RiskDecision(not found, names, tuple(text for _, text in found), cost)


def _check_sell(request: OrderRequest, exposure: Exposure) -> RiskDecision:
    if request.size_e6 <= exposure.sellable_e6:
        return RiskDecision(True)
    wanted, held = request.size_e6 / SHARE, exposure.sellable_e6 / SHARE
    text = f"shares: selling {wanted:.2f} {request.outcome} but {held:.2f} are free to sell"
    return RiskDecision(False, ("shares",), (text,))


def _money(name: str, what: str, value_e6: int, limit_e6: int) -> tuple[str, str]:
    return name, f"{name}: {what} ${usd(value_e6)}, limit ${usd(limit_e6)}"
