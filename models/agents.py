"""Agents: a strategy with parameters, capital and a life, described by one YAML file each."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.markets import TIMEFRAMES
from models.units import to_cash_e6


class AgentStatus(StrEnum):
    """What an agent is doing now."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    """Held by a person, a breaker or the restart budget; not restarted until resumed."""
    FAILED = "failed"


class Lifecycle(StrEnum):
    """How far an agent has come; the evolve flow moves it along."""

    CANDIDATE = "candidate"
    PAPER = "paper"
    LIVE = "live"
    RETIRED = "retired"


class MarketSelector(BaseModel):
    """Which markets an agent trades: an asset's up/down windows of one length."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str = Field(pattern="^[A-Z0-9]{2,10}$", description="Upper-case base asset, e.g. BTC.")
    timeframe: str = Field(description=f"One of {', '.join(TIMEFRAMES)}.")

    @field_validator("timeframe")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in TIMEFRAMES:
            raise ValueError(f"unknown timeframe {value!r}; use one of {', '.join(TIMEFRAMES)}")
        return value


class AgentRisk(BaseModel):
    """Limits of one agent; what is left out comes from the settings. All in US dollars."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_position_usd: Decimal | None = Field(default=None, gt=0)
    max_daily_loss_usd: Decimal | None = Field(default=None, gt=0)
    risk_per_trade_usd: Decimal | None = Field(default=None, gt=0)
    max_concurrent_trades: int | None = Field(default=None, ge=1)


class AgentSpec(BaseModel):
    """One agent file (`deployments/agents/<name>.yaml`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z][a-z0-9-]{1,62}$", description="Unique; the file's name.")
    strategy: str = Field(description="Name of a strategy in the library.")
    markets: tuple[MarketSelector, ...] = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict, description="The strategy's own.")
    risk: AgentRisk = AgentRisk()
    capital_usd: Decimal = Field(gt=0, description="What the agent may use, in US dollars.")
    enabled: bool = True
    description: str = ""

    @property
    def capital_e6(self) -> int:
        return to_cash_e6(self.capital_usd)
