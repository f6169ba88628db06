"""Whether this host can join a floor whose servers run elsewhere: every reason why not, at once."""

import asyncio
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import LiteralString

import httpx
import psycopg
import redis
from packaging.version import Version
from psycopg.rows import DictRow, dict_row

from console.environment import prefect_login, prefect_ui_url
from console.waits import pool_type
from models.errors import ConfigError, FloorError, NotReady
from models.settings import Settings, TradingMode
from store.database import Database
from store.journal_drain import drain_dead
from store.urls import urls, without_password
from tasks.agent_files import read_agents
from venue.polymarket.endpoints import endpoints
from venue.wallet import signing_key

TIMEOUT_S = 5.0

_MAKER = """
    SELECT o.payload->>'maker' AS maker, o.agent
    FROM orders o JOIN agent_leases l ON l.agent = o.agent AND l.token = o.lease_token
    WHERE l.holder IS NOT NULL AND l.expires_at > clock_timestamp() AND o.payload ? 'maker'
    ORDER BY o.created_at DESC LIMIT 1
"""
"""Whose wallet the sessions trade that hold their leases now."""


_TRADED = "SELECT name FROM agents WHERE enabled AND lifecycle <> 'retired' ORDER BY name"


def check(settings: Settings) -> None:
    """Make sure that all a traders' worker needs is there, and of this code's version.

    Raises
    ------
    ConfigError
        A setting is missing or wrong, a server is of another version, or the wallet is another.
    NotReady
        Settings and versions are well, but a server does not answer.
    """
    if missing := list(_missing(settings)):
        raise ConfigError("\n".join(missing))
    wrong, away = [], []
    for look in _LOOKS:
        try:
            wrong += look(settings)
        except NotReady as error:
            away.append(str(error))
        except FloorError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong + away))
    if away:
        raise NotReady("\n".join(away))


def book_leftovers(settings: Settings) -> list[str]:
    """Book what sessions left on this host while Postgres was away; returns what to tell people.

    Their agents trade elsewhere by now, so no session of theirs may come here to do it.

    Raises
    ------
    StoreUnavailable
        Postgres went away meanwhile; what is not booked stays for the next start.
    """
    count, damaged = asyncio.run(_book(settings))
    said = [f"records of earlier sessions here, booked now: {count}"] if count else []
    return said + [f"{name} is damaged and was set aside" for name in damaged]


async def _book(settings: Settings) -> tuple[int, list[str]]:
    folder = settings.floor_home / "spool"
    if not folder.is_dir():
        return 0, []
    async with Database(urls(settings).database, max_size=2) as database:
        return await drain_dead(database, folder)


def _missing(settings: Settings) -> Iterator[str]:
    """Name the settings without which this host would start servers of its own."""
    needed: dict[str, object] = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PREFECT_URL": settings.prefect_url,
    }
    if settings.simulated:
        needed["SIM_URL"] = settings.sim_url
    for name, value in needed.items():
        if value is None:
            yield f"{name} is not set: `floor worker` needs the address of the floor it joins"
    if settings.simulated and settings.sim_wallet_key is None:
        # A new wallet would have money of its own, and the floor would be two.
        path = settings.floor_home / "credentials" / "simulated-wallet.key"
        if not path.exists():
            yield (
                "SIM_WALLET_KEY is not set and this host has no wallet; set it to the floor's "
                f"key, or copy the floor's credentials folder to {path.parent}"
            )


def _database(settings: Settings) -> list[str]:
    # The migrations take most of a second to import; no other command of this room needs them.
    from store import schema

    address = urls(settings).database
    found, wanted = schema.current_revision(address), schema.head_revision()
    if found == wanted:
        return []
    return [
        f"the database at {without_password(address)} is at migration {found or 'none'}, this "
        f"host's code at {wanted}; install the same version on every host (the floor's own "
        "start brings the database up to date)"
    ]


def _redis(settings: Settings) -> list[str]:
    address = urls(settings).redis
    place = without_password(address)
    try:
        with redis.Redis.from_url(
            address, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        ) as client:
            client.ping()
    except (redis.AuthenticationError, redis.ResponseError):
        return [f"Redis at {place} refuses the login; check REDIS_URL"]
    except redis.RedisError as error:
        raise NotReady(
            f"Redis at {place} does not answer ({type(error).__name__}); check REDIS_URL"
        ) from None
    return []


def _prefect(settings: Settings) -> list[str]:
    ours, place = version("prefect"), prefect_ui_url(settings)
    login = prefect_login(settings)
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False, auth=login) as client:
            answer = client.get(f"{place}/api/admin/version")
            if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                return [f"Prefect at {place} refuses the login; check PREFECT_AUTH"]
            theirs = str(answer.raise_for_status().json())
        kind = pool_type(settings)
    except (httpx.HTTPError, ValueError) as error:
        raise NotReady(
            f"Prefect at {place} does not answer ({type(error).__name__}); check PREFECT_URL"
        ) from None
    if Version(ours) > Version(theirs):
        return [
            f"Prefect at {place} is {theirs}, older than this host's {ours}; install the same "
            "version on every host, the server's first"
        ]
    return _pool(kind, settings)


def _pool(kind: str | None, settings: Settings) -> list[str]:
    if kind is None:
        return ["Prefect has no work pool `traders` yet; start the floor first"]
    if kind != settings.traders_pool:
        return [
            f"TRADERS_POOL={settings.traders_pool}: the floor's pool is of type {kind}; "
            "set the same on every host"
        ]
    package = f"prefect-{kind}"
    if kind != "process" and find_spec(package.replace("-", "_")) is None:
        return [f"TRADERS_POOL={kind} needs the package {package} here: docs/scale-out.md"]
    return []


def _venue(settings: Settings) -> list[str]:
    places = endpoints(settings)
    asked = {f"{places.clob}/time": "SIM_URL" if settings.simulated else "POLYMARKET_CLOB_URL"}
    if settings.trading_mode is TradingMode.PAPER:
        asked[f"{places.clob_data}/time"] = "POLYMARKET_CLOB_URL"
    for address, name in asked.items():
        try:
            httpx.get(address, timeout=TIMEOUT_S).raise_for_status()
        except httpx.HTTPError as error:
            raise NotReady(
                f"the venue at {address} does not answer ({type(error).__name__}); check {name}"
            ) from None
    return []


def _wallet(settings: Settings) -> list[str]:
    """Compare this host's wallet with the one the floor trades now, where it trades."""
    found = _ask(settings, _MAKER)
    if not found or found[0]["maker"].lower() in wallets(settings):
        return []
    row = found[0]
    name = "SIM_WALLET_KEY" if settings.simulated else "POLYMARKET_PRIVATE_KEY"
    return [
        f"{name} (not shown) belongs to another wallet than {row['maker']}, which {row['agent']} "
        "trades now; every host signs with the same key"
    ]


def _agents(settings: Settings) -> list[str]:
    """Find agents the floor trades that have no file here: a session here would disable them."""
    files, _ = read_agents()
    lacking = [row["name"] for row in _ask(settings, _TRADED) if row["name"] not in files]
    return [
        f"deployments/agents has no {name}.yaml, which the floor trades; install the same agent "
        "files on every host"
        for name in lacking
    ]


def _ask(settings: Settings, sql: LiteralString) -> list[DictRow]:
    """Ask the database; nothing where it does not answer, which its own check says."""
    try:
        with psycopg.connect(
            urls(settings).database, row_factory=dict_row, connect_timeout=5
        ) as connection:
            return connection.execute(sql).fetchall()
    except psycopg.Error:
        return []


def wallets(settings: Settings) -> set[str]:
    """Return every wallet, in lower case, that this host's key may trade."""
    # The package takes half a second to import.
    from eth_account import Account

    from venue.simulator.wallets import SIGNATURE_TYPES, wallets_of

    owner = str(Account.from_key(signing_key(settings).get_secret_value()).address)
    found = {owner, settings.polymarket_wallet or owner}
    for kind in SIGNATURE_TYPES:
        found.update(wallets_of(owner, kind))
    return {address.lower() for address in found}


_LOOKS: tuple[Callable[[Settings], list[str]], ...] = (
    _database,
    _redis,
    _prefect,
    _venue,
    _agents,
    _wallet,
)
