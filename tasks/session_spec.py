"""Which spec a session trades by: its file's, or the last good one where the file is broken."""

import structlog

from models.agents import AgentSpec
from models.errors import BadValue, ConfigError, FloorError
from models.settings import Settings
from store import agents
from store.database import Database
from store.urls import urls
from strategies import library
from tasks.agent_files import find_agent

log = structlog.get_logger(__name__)


async def spec_of(settings: Settings, agent: str) -> tuple[AgentSpec, str]:
    """Return the agent's spec, and what is wrong with its file where the spec isn't from there.

    A file that breaks while its agent trades must not end the trading: the spec that was read last
    is in Postgres, and its strategy's parameters are checked again before it is used.

    Raises
    ------
    ConfigError
        The file is wrong and there is no earlier good spec; the message is about the file.
    StoreUnavailable
        The file is wrong and Postgres is away.
    """
    try:
        return find_agent(agent), ""
    except ConfigError as error:
        fault = str(error)
        broken = error
    async with Database(urls(settings).database, max_size=1) as database:
        try:
            spec = await agents.load_spec(database, agent)
            library.create(spec.strategy, spec.parameters)
        except (BadValue, ConfigError):
            raise broken from None
        except FloorError:
            raise
        except Exception as error:  # the strategy's own code, or a spec of an older release
            log.error("last_spec_not_usable", agent=agent, reason=repr(error))
            raise broken from None
    log.warning("last_good_spec_used", agent=agent, reason=fault)
    return spec, fault
