"""One limit for many processes: what all agents together have open, kept in Redis.

Each agent's whole open cost is one number: its positions at cost and its open BUY orders at their
worst. `take` asks to raise the caller's number so that it holds one order more; a script in Redis
adds up everybody's numbers and sets it, or refuses, in one step. `give` lowers it when an order was
cancelled, filled for less, or its market paid out. Numbers are absolute, never differences: asking
twice reserves once, and a number that is too high (its process died between reserving and
recording) is put right by the agent's next word, or by `settle_leaks` when the agent has none.

What makes it safe:

* A number is raised *before* the order exists anywhere, and lowered only *after* the books say so.
  So at every moment each agent's true open cost is at most its number, and their sum is within the
  limit.
* A number belongs to a lease: a process whose fencing token is older than the last one seen can
  neither raise nor lower it.
* Redis is never the only copy. A Redis that restarted, empty or with an old image, is recognised
  by its run id; everything is refused until somebody has set the numbers anew from Postgres.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from models.errors import BadValue, LeaseLost, NotReady, StoreUnavailable
from store.rows import json_text

_TIMEOUT_S = 1.0
_MOST_E6 = 2**52
"""Redis counts in doubles: whole numbers beyond 2**53 would not be exact."""
_TROUBLE = (RedisError, OSError, TimeoutError)
_USED, _TOKENS, _READY, _FACTS = "risk:used", "risk:tokens", "risk:ready", "risk:facts"

_HEAD = """
local here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[3]) ~= here then return {-1} end
local agent, token = ARGV[1], tonumber(ARGV[2])
if token < tonumber(redis.call('HGET', KEYS[2], agent) or '0') then return {-2} end
local sum = 0
for _, used in ipairs(redis.call('HVALS', KEYS[1])) do sum = sum + tonumber(used) end
local own = tonumber(redis.call('HGET', KEYS[1], agent) or '0')
local wanted = tonumber(ARGV[3])
"""

_TAKE = (
    _HEAD
    + """
local after = sum - own + wanted
if wanted > own and after > tonumber(ARGV[4]) then
    return {0, string.format('%.0f', sum), redis.call('GET', KEYS[4])}
end
redis.call('HSET', KEYS[1], agent, ARGV[3])
redis.call('HSET', KEYS[2], agent, ARGV[2])
return {1, string.format('%.0f', after), redis.call('GET', KEYS[4])}
"""
)

_GIVE = (
    _HEAD
    + """
if wanted < own then redis.call('HSET', KEYS[1], agent, ARGV[3]) end
redis.call('HSET', KEYS[2], agent, ARGV[2])
return {1, string.format('%.0f', sum - own + math.min(own, wanted)), redis.call('GET', KEYS[4])}
"""
)

# What was set meanwhile under a newer Redis is newer than what Postgres told us: kept.
_REBUILD = """
local here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[3]) == here then return 0 end
redis.call('DEL', KEYS[1])
for index = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
redis.call('SET', KEYS[3], here)
return 1
"""

# Only a number nobody has touched since it was read.
_SETTLE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer: whether the number was raised, what all have open now, and the floor's facts."""

    allowed: bool
    floor_open_e6: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leak:
    """An agent whose number was higher than its books, in e6, and what it was set to."""

    agent: str
    held_e6: int
    books_e6: int


class Reserve:
    """``async with Reserve(url)``. Every call is one round trip and may raise `StoreUnavailable`.

    Raises
    ------
    NotReady
        From `take` and `give`: this Redis has not been told the numbers yet; call `rebuild`.
    LeaseLost
        From `take` and `give`: a newer session of the agent has spoken.
    """

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._keys = [_USED, _TOKENS, _READY, _FACTS]
        self._take = self._redis.register_script(_TAKE)
        self._give = self._redis.register_script(_GIVE)
        self._rebuild = self._redis.register_script(_REBUILD)
        self._settle = self._redis.register_script(_SETTLE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        with suppress(*_TROUBLE):
            await self._redis.aclose()

    # --- an agent's own number ------------------------------------------------------------------

    async def take(self, agent: str, token: int, open_e6: int, limit_e6: int) -> Reserved:
        """Ask for the agent's number to be `open_e6`, its newest order included.

        Raising it needs room under `limit_e6`; lowering it never does.
        """
        return await self._ask(self._take, agent, token, open_e6, limit_e6)

    async def give(self, agent: str, token: int, open_e6: int) -> Reserved:
        """Lower the agent's number to `open_e6`; one that is lower already stays."""
        return await self._ask(self._give, agent, token, open_e6, 0)

    async def _ask(self, script: Any, agent: str, token: int, open_e6: int, limit: int) -> Reserved:
        if not 0 <= open_e6 <= _MOST_E6:
            raise BadValue(f"{agent}: open cost {open_e6} e6 must be from 0 to {_MOST_E6}")
        try:
            answer = await script(keys=self._keys, args=[agent, token, open_e6, max(0, limit)])
        except _TROUBLE as error:
            raise _away(error) from None
        verdict = int(answer[0])
        if verdict == -1:
            raise NotReady("reservations: Redis has no numbers yet; they come from Postgres")
        if verdict == -2:
            raise LeaseLost(f"{agent}: a newer session reserves; token {token} is over")
        return Reserved(verdict == 1, int(answer[1]), _facts(answer[2] if len(answer) > 2 else b""))

    # --- everybody's ----------------------------------------------------------------------------

    async def ready(self) -> bool:
        """Whether this Redis knows the numbers."""
        try:
            info: Any = await self._redis.info("server")
            known: Any = await self._redis.get(_READY)
        except _TROUBLE as error:
            raise _away(error) from None
        return bool(known is not None and known.decode() == info["run_id"])

    async def uptime_s(self) -> int:
        """Seconds since this Redis started."""
        try:
            info: Any = await self._redis.info("server")
        except _TROUBLE as error:
            raise _away(error) from None
        return int(info["uptime_in_seconds"])

    async def adopt(self, agent: str, token: int) -> None:
        """Take `token` for the agent's newest, as Postgres, which grants the leases, has it.

        For a database that was begun anew, whose tokens are lower than those this Redis knows.
        """
        try:
            known: Any = await self._redis.hget(_TOKENS, agent)
            if known is not None and int(known) > token:
                await self._redis.hset(_TOKENS, agent, str(token))
        except _TROUBLE as error:
            raise _away(error) from None

    async def rebuild(self, open_e6: Mapping[str, int]) -> bool:
        """Set every agent's number from the books, if nobody has since Redis started.

        Returns
        -------
        bool
            Whether they were set; False where somebody was faster.
        """
        args = [part for agent, used in open_e6.items() for part in (agent, used)]
        try:
            return bool(await self._rebuild(keys=self._keys, args=args))
        except _TROUBLE as error:
            raise _away(error) from None

    async def used(self) -> dict[str, int]:
        """Every agent's number, in e6."""
        try:
            found: Any = await self._redis.hgetall(_USED)
        except _TROUBLE as error:
            raise _away(error) from None
        return {agent.decode(): int(used) for agent, used in found.items()}

    async def settle_leaks(self, books_e6: Mapping[str, int], idle: Iterable[str]) -> list[Leak]:
        """Lower the numbers of agents that do not run to what their books say.

        Parameters
        ----------
        books_e6
            Open cost by agent, read from Postgres *after* `idle` was found out.
        idle
            Agents without a live lease. The others put their own right.
        """
        held = await self.used()
        found: list[Leak] = []
        for agent in sorted(set(idle) & held.keys()):
            books = books_e6.get(agent, 0)
            if held[agent] <= books:
                continue
            try:
                done = await self._settle(keys=self._keys, args=[agent, held[agent], books])
            except _TROUBLE as error:
                raise _away(error) from None
            if done:
                found.append(Leak(agent, held[agent], books))
        return found

    # --- facts ----------------------------------------------------------------------------------

    async def tell_facts(self, facts: Mapping[str, Any], ttl_s: float) -> None:
        """Publish what the floor knows of itself; every answer carries it until it is too old."""
        try:
            await self._redis.set(_FACTS, json_text(facts), px=max(1, int(ttl_s * 1000)))
        except _TROUBLE as error:
            raise _away(error) from None

    async def facts(self) -> dict[str, Any]:
        """The facts last told, empty when there are none."""
        try:
            found: Any = await self._redis.get(_FACTS)
        except _TROUBLE as error:
            raise _away(error) from None
        return _facts(found)


def _facts(raw: bytes | None) -> dict[str, Any]:
    return dict(msgspec.json.decode(raw)) if raw else {}


def _away(error: BaseException) -> StoreUnavailable:
    return StoreUnavailable(f"Redis does not answer ({type(error).__name__}); is it running?")
