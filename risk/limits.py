"""What one agent may do, and what an order may cost it; `risk.gate` holds every order to it."""

from dataclasses import dataclass
from typing import Self

import msgspec

from models.agents import AgentSpec
from models.errors import ConfigError
from models.markets import Market, Side
from models.orders import Order, OrderRequest
from models.settings import Settings
from models.units import to_cash_e6
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
