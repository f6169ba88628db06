"""Every setting of the floor, in one class; `.env.example` lists them all for people.

Values come from the environment, then from `.env` in the project's root, then from here.
"""

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.errors import ConfigError
from models.fills import FillModel
from models.setting_types import (
    DatabaseUrl,
    HttpUrl,
    PrivateKey,
    RedisUrl,
    WebhookUrl,
    WebSocketUrl,
    lower,
    rooted,
    upper,
)
from models.travel import Travel, read_travel

ROOT = Path(__file__).resolve().parent.parent
"""The project's root folder."""

ENV_FILE = ROOT / ".env"

LIVE_CONFIRMATION = "I understand that this trades real money"

Port = Annotated[int, Field(ge=1, le=65535)]
Dollars = Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=6)]
Latency = Annotated[Travel, NoDecode, BeforeValidator(read_travel)]
Folder = Annotated[Path, AfterValidator(rooted(ROOT))]
"""A path; a relative one is in the project's root."""


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


class OrderPolicy(StrEnum):
    """What becomes of resting orders when the session that placed them ends in good order."""

    KEEP = "keep"
    """The next session takes them up. Without one the venue's dead-man heartbeat cancels them."""
    CANCEL = "cancel"


class Settings(BaseSettings):
    """The floor's settings. Use `load_settings` to read them with readable errors."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    # --- mode ---------------------------------------------------------------------------------
    trading_mode: Annotated[TradingMode, BeforeValidator(lower)] = Field(
        TradingMode.SIM,
        description="sim: local simulator. paper: live data, simulated fills. live: real money.",
    )
    live_confirmation: str = Field(
        "", description=f"Must read exactly {LIVE_CONFIRMATION!r} for TRADING_MODE=live."
    )
    environment: Annotated[
        Literal["development", "test", "staging", "production"], BeforeValidator(lower)
    ] = Field("development", description="Name of this installation, shown in alerts and logs.")
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(upper)
    ] = Field("INFO", description="The least severe log messages that are kept.")

    # --- money --------------------------------------------------------------------------------
    initial_capital: Dollars = Field(Decimal(1000), description="Floor's capital, USD.")
    max_position_size: Dollars = Field(
        Decimal(100), description="Most an agent may have at cost in one market, USD."
    )
    max_daily_loss: Dollars = Field(
        Decimal(200), description="Loss in one UTC day after which buying stops, USD."
    )
    risk_per_trade: Dollars = Field(Decimal(20), description="Most one order may cost, USD.")
    max_concurrent_trades_per_agent: int = Field(
        3, ge=1, le=100, description="Markets an agent may be in at the same time."
    )
    risk_file: Folder = Field(
        ROOT / "deployments" / "risk.yaml",
        description="The floor's risk policies, YAML or JSON; taken up again when it changes.",
    )

    # --- venue --------------------------------------------------------------------------------
    polymarket_private_key: PrivateKey | None = Field(
        None, description="Signer's key, 0x and 64 hexadecimal digits."
    )
    polymarket_wallet: str | None = Field(
        None,
        pattern="^0x[0-9a-fA-F]{40}$",
        description="Wallet that holds the funds; empty derives the signer's deposit wallet.",
    )
    polymarket_clob_url: HttpUrl = Field(
        "https://clob.polymarket.com", description="Orders, books and trades."
    )
    polymarket_gamma_url: HttpUrl = Field(
        "https://gamma-api.polymarket.com", description="Markets and how they ended."
    )
    polymarket_data_url: HttpUrl = Field(
        "https://data-api.polymarket.com", description="Positions and public trades."
    )
    polymarket_relayer_url: HttpUrl = Field(
        "https://relayer-v2.polymarket.com", description="Wallet set-up and redemption."
    )
    polymarket_ws_market_url: WebSocketUrl = Field(
        "wss://ws-subscriptions-clob.polymarket.com/ws/market", description="Stream of books."
    )
    polymarket_ws_user_url: WebSocketUrl = Field(
        "wss://ws-subscriptions-clob.polymarket.com/ws/user", description="Stream of own orders."
    )
    polymarket_ws_prices_url: WebSocketUrl = Field(
        "wss://ws-live-data.polymarket.com", description="Stream of spot prices."
    )

    # --- simulator ----------------------------------------------------------------------------
    sim_port: Port = Field(9001, description="Port of the simulator.")
    sim_url: HttpUrl | None = Field(
        None, description="http://host:9001 of a simulator elsewhere; empty starts one here."
    )
    sim_wallet_key: PrivateKey | None = Field(
        None, description="Key of the simulated wallet, the same on every host; empty makes one."
    )
    sim_liquidity: Annotated[Liquidity, BeforeValidator(lower)] = Field(
        Liquidity.AUTO, description="replay: recorded books. model: fair value. auto: either."
    )
    sim_window_seconds: int | None = Field(
        None, ge=20, le=14400, description="Shorten every window to this, for demos and tests."
    )
    sim_seed: int = Field(7, ge=0, description="Seed of everything random in the simulator.")
    fill_model: Annotated[FillModel, BeforeValidator(lower)] = Field(
        FillModel.BACK,
        description="Our place in recorded queues: back (worst), log, power, front (best).",
    )
    feed_latency: Latency = Field(
        Travel(),
        description="How much later clients see books, trades and spot prices: 0, constant:50ms "
        "or sampled:40ms:0.5.",
    )
    order_latency: Latency = Field(
        Travel(),
        description="How much later orders and cancels meet the market: 0, constant:50ms "
        "or sampled:40ms:0.5.",
    )
    sim_taker_delay_ms: int = Field(
        150, ge=0, le=10_000, description="Milliseconds a marketable order waits, uncancellable."
    )
    sim_fee_rounding: Annotated[
        Literal["half_up", "half_even", "up", "down"], BeforeValidator(lower)
    ] = Field("half_up", description="Rounding of a taker fee's fifth decimal.")
    sim_self_trade: Annotated[
        Literal["allow", "cancel_resting", "cancel_taking"], BeforeValidator(lower)
    ] = Field("allow", description="What happens when a wallet's order meets its own.")
    floor_data_dir: Folder = Field(
        ROOT.parent / "shared" / "data", description="Folder of the recorded market data."
    )

    # --- services -----------------------------------------------------------------------------
    database_url: DatabaseUrl | None = Field(
        None, description="postgresql://… of your own server; empty starts an embedded one."
    )
    redis_url: RedisUrl | None = Field(
        None, description="redis://… of your own server; empty starts an embedded one."
    )
    prefect_url: HttpUrl | None = Field(
        None,
        description="http://host:4200/api of Prefect servers elsewhere; empty starts one here.",
    )
    prefect_auth: SecretStr | None = Field(
        None, description="user:password Prefect's servers ask for; empty: they ask for none."
    )
    prefect_shared: bool = Field(
        False, description="Prefect's server here is one of several: they share through Redis."
    )
    floor_home: Folder = Field(ROOT / ".floor", description="Everything the floor writes locally.")
    listen_host: str = Field(
        "127.0.0.1",
        pattern="^[0-9A-Za-z.-]+$",
        description="Address Prefect's server and the simulator listen on.",
    )
    postgres_port: Port = Field(25432, description="Port of the embedded Postgres.")
    redis_port: Port = Field(26390, description="Port of the embedded Redis.")
    prefect_port: Port = Field(4200, description="Port of the Prefect server and its UI.")

    # --- supervision --------------------------------------------------------------------------
    heartbeat_interval: int = Field(
        5, ge=1, le=300, description="Seconds between an agent's heartbeats; three missed = dead."
    )
    checkpoint_interval: int = Field(
        30, ge=1, le=600, description="Seconds between an agent's checkpoints in Postgres."
    )
    lease_seconds: int = Field(
        15, ge=3, le=120, description="How long an agent's lease lasts without renewal."
    )
    session_seconds: int = Field(
        3600, ge=30, le=86400, description="A session ends and hands over after this."
    )
    handover_orders: Annotated[OrderPolicy, BeforeValidator(lower)] = Field(
        OrderPolicy.KEEP,
        description="A session that hands over: keep its orders for the next, or cancel them.",
    )
    stop_orders: Annotated[OrderPolicy, BeforeValidator(lower)] = Field(
        OrderPolicy.CANCEL,
        description="A session that is told to end (SIGTERM): keep its orders, or cancel them.",
    )
    store_away_seconds: int = Field(
        60, ge=1, le=3600, description="Postgres away for longer than this: nothing new is bought."
    )
    host_name: str = Field(
        "",
        pattern="^[A-Za-z0-9._-]{0,64}$",
        description="Name of this host among several that share the servers; empty: the system's.",
    )
    traders_pool: Annotated[Literal["process", "docker", "kubernetes"], BeforeValidator(lower)] = (
        Field("process", description="Where a session runs: in a process, container or pod.")
    )
    work_queues: str = Field(
        "",
        pattern="^([a-z0-9-]+(,[a-z0-9-]+)*)?$",
        description="Queues of work this host takes: default, collectors, research; empty: all.",
    )
    record_sessions: bool = Field(
        False, description="Record every session below FLOOR_HOME, for `floor parity`."
    )
    max_restarts_per_hour: int = Field(
        10, ge=1, le=100, description="More restarts of an agent than this pause it."
    )

    # --- alerts -------------------------------------------------------------------------------
    slack_webhook_url: WebhookUrl | None = Field(None, description="Slack incoming webhook.")
    discord_webhook_url: WebhookUrl | None = Field(None, description="Discord webhook.")
    alert_group_seconds: int = Field(
        30, ge=1, le=3600, description="Trades within this time become one message."
    )

    @model_validator(mode="after")
    def _live_is_meant(self) -> Self:
        if self.trading_mode is not TradingMode.LIVE:
            return self
        missing = []
        if self.polymarket_private_key is None:
            missing.append("POLYMARKET_PRIVATE_KEY is not set; TRADING_MODE=live needs it")
        if self.live_confirmation != LIVE_CONFIRMATION:
            missing.append(
                f"LIVE_CONFIRMATION must read {LIVE_CONFIRMATION!r}; "
                "TRADING_MODE=live trades real money and does not start without it"
            )
        if missing:
            raise ValueError("\n".join(missing))
        return self

    @model_validator(mode="after")
    def _limits_fit_together(self) -> Self:
        if self.risk_per_trade > self.max_position_size:
            raise ValueError(
                f"RISK_PER_TRADE={self.risk_per_trade} is more than "
                f"MAX_POSITION_SIZE={self.max_position_size}: no order could ever use it"
            )
        return self

    @model_validator(mode="after")
    def _real_key_signs_nothing_simulated(self) -> Self:
        if self.sim_wallet_key is not None and self.sim_wallet_key == self.polymarket_private_key:
            raise ValueError(
                "SIM_WALLET_KEY is POLYMARKET_PRIVATE_KEY: what it signs for the simulator would "
                "be valid at the venue; use a key without money"
            )
        return self

    @model_validator(mode="after")
    def _open_servers_ask_who_it_is(self) -> Self:
        login = self.prefect_auth.get_secret_value() if self.prefect_auth is not None else ""
        if login and not all(login.partition(":")):
            raise ValueError("PREFECT_AUTH=(not shown): must be user:password")
        if self.listen_host not in ("127.0.0.1", "localhost") and not login:
            raise ValueError(
                f"LISTEN_HOST={self.listen_host}: whoever reaches Prefect's API can run programs "
                "here; set PREFECT_AUTH to user:password, or listen on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        users: dict[int, str] = {}
        for name in ("sim_port", "postgres_port", "redis_port", "prefect_port"):
            port = getattr(self, name)
            if port in users:
                raise ValueError(f"{name.upper()}={port} is also {users[port]}; they must differ")
            users[port] = name.upper()
        return self

    @property
    def simulated(self) -> bool:
        return self.trading_mode is not TradingMode.LIVE

    @property
    def worker_name(self) -> str:
        """What Prefect calls this host's worker of sessions."""
        return f"traders-{self.host_name}" if self.host_name else "traders"

    @property
    def own_host(self) -> str:
        """Where this machine reaches what listens on `listen_host`."""
        everywhere = self.listen_host == "0.0.0.0"  # noqa: S104 - nothing is bound here
        return "127.0.0.1" if everywhere else self.listen_host

    @property
    def simulator_url(self) -> str:
        """Where the simulator is, without a trailing slash."""
        return self.sim_url or f"http://{self.own_host}:{self.sim_port}"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    Raises
    ------
    ConfigError
        One line per wrong variable: its name, its value (never a secret's), what is allowed;
        also where `.env` holds a name that is nearly, but not quite, a variable of ours.
    """
    try:
        misspelt = misspellings(dotenv_values(ENV_FILE, encoding="utf-8"))
        if misspelt:
            raise ConfigError("\n".join(f".env: {line}" for line in misspelt))
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError("\n".join(_line(item) for item in error.errors())) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{ENV_FILE.name} is not UTF-8 text; save it as UTF-8") from None


def variables() -> dict[str, str]:
    """Return every variable's name with its meaning."""
    return {name.upper(): field.description or "" for name, field in Settings.model_fields.items()}


def misspellings(names: Mapping[str, Any]) -> list[str]:
    """Say which of `names` look like slips of a variable's name: they would have no effect."""
    known = list(variables())
    lines = []
    for name in names:
        close = get_close_matches(name.upper(), known, n=1, cutoff=0.85)
        if close and close[0] != name.upper():
            lines.append(f"unknown variable {name}; did you mean {close[0]}?")
    return lines


def is_secret(name: str) -> bool:
    """Whether the variable's value must never be shown."""
    field = Settings.model_fields.get(name.lower())
    return field is not None and SecretStr.__name__ in str(field.annotation)


def _line(item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    reason = str(item["msg"]).removeprefix("Value error, ")
    if not name:
        return reason
    value = "(not shown)" if is_secret(name) else repr(item.get("input"))
    field = Settings.model_fields.get(name)
    hint = f" ({field.description})" if field is not None and field.description else ""
    return f"{name.upper()}={value}: {reason}{hint}"
