"""Every setting of the floor, in one class; `.env.example` lists them all for people.

Values come from the environment, then from `.env` in the project's root, then from here.
"""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
"""The project's root folder."""

LIVE_CONFIRMATION = "I understand that this trades real money"


class TradingMode(StrEnum):
    SIM = "sim"
    PAPER = "paper"
    LIVE = "live"


class Liquidity(StrEnum):
    """Where the simulator's book comes from."""

    AUTO = "auto"
    """`replay` when the recording is there, else `model`."""
    REPLAY = "replay"
    MODEL = "model"


class Settings(BaseSettings):
    """The floor's settings. Use `load_settings` to read them with readable errors."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    # --- mode ---------------------------------------------------------------------------------
    trading_mode: TradingMode = Field(
        TradingMode.SIM,
        description="sim: local simulator. paper: live data, simulated fills. live: real money.",
    )
    live_confirmation: str = Field(
        "", description=f"Must read exactly {LIVE_CONFIRMATION!r} for TRADING_MODE=live."
    )
    environment: str = Field(
        "development", pattern="^(development|test|staging|production)$",
        description="Name of this installation, shown in alerts and logs.",
    )  # fmt: skip
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")

    # --- money --------------------------------------------------------------------------------
    initial_capital: Decimal = Field(Decimal(1000), gt=0, description="Floor's capital, USD.")
    max_position_size: Decimal = Field(
        Decimal(100), gt=0, description="Most an agent may have at cost in one market, USD."
    )
    max_daily_loss: Decimal = Field(
        Decimal(200), gt=0, description="Loss in one UTC day after which buying stops, USD."
    )
    risk_per_trade: Decimal = Field(Decimal(20), gt=0, description="Most one order may cost, USD.")
    max_concurrent_trades_per_agent: int = Field(
        3, ge=1, le=100, description="Markets an agent may be in at the same time."
    )

    # --- venue --------------------------------------------------------------------------------
    polymarket_private_key: SecretStr | None = Field(
        None, description="Signer's key, 0x and 64 hexadecimal digits."
    )
    polymarket_wallet: str | None = Field(
        None,
        pattern="^0x[0-9a-fA-F]{40}$",
        description="Wallet that holds the funds; empty derives the signer's deposit wallet.",
    )
    polymarket_clob_url: str = "https://clob.polymarket.com"
    polymarket_gamma_url: str = "https://gamma-api.polymarket.com"
    polymarket_data_url: str = "https://data-api.polymarket.com"
    polymarket_relayer_url: str = "https://relayer-v2.polymarket.com"
    polymarket_ws_market_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    polymarket_ws_user_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/user"
    polymarket_ws_prices_url: str = "wss://ws-live-data.polymarket.com"

    # --- simulator ----------------------------------------------------------------------------
    sim_port: int = Field(9001, ge=1, le=65535, description="Port of the simulator.")
    sim_liquidity: Liquidity = Field(
        Liquidity.AUTO, description="replay: recorded books. model: fair value. auto: either."
    )
    sim_window_seconds: int | None = Field(
        None, ge=20, le=14400, description="Shorten every window to this, for demos and tests."
    )
    sim_seed: int = Field(7, ge=0, description="Seed of everything random in the simulator.")
    floor_data_dir: Path = Field(
        ROOT.parent / "shared" / "data", description="Folder of the recorded market data."
    )

    # --- services -----------------------------------------------------------------------------
    database_url: SecretStr | None = Field(
        None, description="postgresql://… of your own server; empty starts an embedded one."
    )
    redis_url: SecretStr | None = Field(
        None, description="redis://… of your own server; empty starts an embedded one."
    )
    floor_home: Path = Field(ROOT / ".floor", description="Everything the floor writes locally.")
    postgres_port: int = Field(54329, ge=1, le=65535, description="Embedded Postgres.")
    redis_port: int = Field(63790, ge=1, le=65535, description="Embedded Redis.")
    prefect_port: int = Field(4200, ge=1, le=65535, description="Prefect server and UI.")

    # --- supervision --------------------------------------------------------------------------
    heartbeat_interval: int = Field(
        30, ge=1, le=300, description="Most seconds between an agent's heartbeats."
    )
    checkpoint_interval: int = Field(
        60, ge=1, le=600, description="Seconds between an agent's checkpoints."
    )
    lease_seconds: int = Field(
        15, ge=3, le=120, description="How long an agent's lease lasts without renewal."
    )
    session_seconds: int = Field(
        3600, ge=30, le=86400, description="A session ends and hands over after this."
    )
    max_restarts_per_hour: int = Field(10, ge=1, le=100)

    # --- alerts -------------------------------------------------------------------------------
    slack_webhook_url: SecretStr | None = Field(None, description="Slack incoming webhook.")
    discord_webhook_url: SecretStr | None = Field(None, description="Discord webhook.")
    alert_group_seconds: int = Field(
        30, ge=1, le=3600, description="Trades within this time become one message."
    )

    @model_validator(mode="after")
    def _live_is_meant(self) -> Self:
        if self.trading_mode is not TradingMode.LIVE:
            return self
        if self.polymarket_private_key is None:
            raise ValueError("POLYMARKET_PRIVATE_KEY is not set; TRADING_MODE=live needs it")
        if self.live_confirmation != LIVE_CONFIRMATION:
            raise ValueError(
                f"LIVE_CONFIRMATION must read {LIVE_CONFIRMATION!r}; "
                "TRADING_MODE=live trades real money and does not start without it"
            )
        return self

    @property
    def simulated(self) -> bool:
        return self.trading_mode is not TradingMode.LIVE


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    Raises
    ------
    ConfigError
        One line per wrong variable: its name, its value (never a secret's), what is allowed.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError("\n".join(_line(item) for item in error.errors())) from None


def _line(item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    reason = str(item["msg"]).removeprefix("Value error, ")
    if not name:
        return reason
    field = Settings.model_fields.get(name)
    secret = field is not None and "SecretStr" in str(field.annotation)
    value = "(not shown)" if secret else repr(item.get("input"))
    hint = f" ({field.description})" if field is not None and field.description else ""
    return f"{name.upper()}={value}: {reason}{hint}"
