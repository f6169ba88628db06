"""The floor as a drill sees it: from outside, through what it writes and what the venue knows."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import httpx
import psutil

from models.errors import NotReady, StoreUnavailable
from models.settings import Settings
from store import leases
from store.bus import Bus
from store.database import Database
from store.leases import LeaseStatus
from store.urls import urls
from tasks.drilling.books import LIMIT, Ledger
from venue.wallet import signing_key

ANSWER_S = 5.0
PATIENCE_S = 2.0
"""How long a look waits for Postgres; while it is away every look would."""


class Programs(Protocol):
    """The floor's local programs, in the hands of whoever keeps them up."""

    def process(self, name: str) -> psutil.Process | None:
        """Return the process of a program that runs."""
        ...

    def started(self, name: str) -> float:
        """Return when the program was last started, in seconds since the epoch; 0 for never."""
        ...

    def stop(self, name: str) -> None:
        """Stop a program and leave it stopped."""
        ...

    def start(self, name: str) -> None:
        """Start a program that was stopped."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order the exchange took."""

    order_id: str
    key: str
    """The API key it came with: every agent has its own."""
    created_ns: int
    updated_ns: int
    open: bool


class Stage:
    """``async with Stage(settings, programs)``: eyes and hands of a drill.

    Raises
    ------
    NotReady
        From every look, where what it looks at does not answer.
    """

    def __init__(self, settings: Settings, programs: Programs) -> None:
        # Takes half a second to import, which `floor drill list` need not wait for.
        from eth_account import Account

        addresses = urls(settings)
        self.settings = settings
        self.programs = programs
        self.database = Database(addresses.database, max_size=3, timeout_s=PATIENCE_S)
        self.bus = Bus(addresses.redis)
        self.agent_of_key: dict[str, str] = {}
        self._stack = AsyncExitStack()
        self._address = str(Account.from_key(signing_key(settings).get_secret_value()).address)
        self._http = httpx.AsyncClient(
            base_url=settings.simulator_url, timeout=ANSWER_S, trust_env=False
        )

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.database)
        self._stack.push_async_callback(self.bus.close)
        self._stack.push_async_callback(self._http.aclose)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def logs(self) -> Path:
        return self.settings.floor_home / "logs"

    # --- the exchange ---------------------------------------------------------------------------

    async def ledger(self, limit: int = LIMIT) -> Ledger:
        """Return what the exchange has of the floor's account: its newest orders and trades."""
        answer: Ledger = await self._ask("GET", f"/ledger/{self._address}?limit={limit}")
        return answer

    async def accepted(self, limit: int = 400) -> list[Accepted]:
        """Return the newest orders the exchange took from the floor, newest first."""
        ledger = await self.ledger(limit)
        return [
            Accepted(one["order_id"], one["key"], one["created_ns"], one["updated_ns"], one["open"])
            for one in ledger["orders"]
        ]

    async def order_count(self) -> int:
        """Return how many orders the exchange ever took from the floor."""
        return len((await self.ledger())["orders"])

    async def fault(self, name: str, **params: Any) -> None:
        """Switch a fault of the simulated venue on."""
        await self._ask("POST", "/faults", {"name": name, **params})

    async def clear_fault(self, name: str = "") -> None:
        """Switch one fault off, or all; a simulator that is down has none."""
        with suppress(NotReady):
            await self._ask("DELETE", f"/faults/{name}" if name else "/faults")

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = await self._http.request(method, f"/admin{path}", json=body)
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NotReady(f"the simulator does not answer ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise NotReady(f"the simulator answered {answer.status_code} to {path}: {found}")
        return found

    # --- our own records ------------------------------------------------------------------------

    async def leases(self) -> dict[str, LeaseStatus]:
        """Return every agent's lease. Raises `StoreUnavailable` while Postgres is away."""
        async with _in_time(PATIENCE_S):
            return {lease.agent: lease for lease in await leases.all(self.database)}

    async def query(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        """Run one statement. Raises `StoreUnavailable` while Postgres is away."""
        async with _in_time(ANSWER_S):
            return [dict(row) for row in await self.database.fetch(sql, params)]

    async def tokens(self, order_ids: list[str]) -> dict[str, tuple[str, int]]:
        """Return agent and lease token of those of the orders that our table has."""
        rows = await self.query(
            "SELECT order_id, agent, lease_token FROM orders WHERE order_id = ANY(%s)", [order_ids]
        )
        return {row["order_id"]: (row["agent"], row["lease_token"]) for row in rows}

    async def learn_keys(self) -> None:
        """Learn which agent each API key belongs to, from the orders both sides know."""
        orders = await self.accepted(1000)
        known = await self.tokens([order.order_id for order in orders])
        for order in orders:
            if order.order_id in known:
                self.agent_of_key[order.key] = known[order.order_id][0]

    async def heartbeats(self) -> dict[str, Mapping[str, Any]]:
        """Return the heartbeats alive now. Raises `StoreUnavailable` while Redis is away."""
        async with _in_time(PATIENCE_S):
            return dict(await self.bus.heartbeats())

    # --- processes ------------------------------------------------------------------------------

    async def trader(self, agent: str) -> psutil.Process:
        """Return the process that trades for an agent. Raises `NotReady` where none does."""
        lease = (await self.leases()).get(agent)
        if lease is None or not lease.live:
            raise NotReady(f"no session holds the lease of {agent}; see `floor status`")
        return holder_process(lease.holder)

    def program(self, name: str) -> psutil.Process:
        """Return the process of a program. Raises `NotReady` where it does not run."""
        process = self.programs.process(name)
        if process is None:
            raise NotReady(f"{name} is not running here; see `floor status`")
        return process


def holder_process(holder: str) -> psutil.Process:
    """Return the process a lease's holder names. Raises `NotReady` where it is gone."""
    try:
        return psutil.Process(int(holder.rsplit(":", 2)[1]))
    except (psutil.NoSuchProcess, ValueError, IndexError):
        raise NotReady(f"the lease's holder {holder!r} is no process of this host") from None


def log_events(path: Path, start: int) -> tuple[list[dict[str, Any]], int]:
    """Return the structured lines a log got since byte `start`, and where it ends now.

    A log that was rotated meanwhile is read from its beginning.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(start if start <= size else 0)
            raw = file.read()
            end = file.tell()
    except OSError:
        return [], start
    whole, _, rest = raw.rpartition(b"\n")
    found = []
    for line in whole.splitlines():
        text = line[line.find(b"{") :] if b"{" in line else b""
        with suppress(ValueError):
            event = json.loads(text)
            if isinstance(event, dict) and "event" in event:
                found.append(event)
    return found, end - len(rest)


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """A frozen server holds its connections open without a word: that counts as away."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StoreUnavailable(f"no answer within {seconds:g} s; frozen or overloaded") from None
