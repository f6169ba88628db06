"""The strategies there are, by name."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from models.errors import ConfigError
from strategies.base import Strategy
from strategies.market_maker import MarketMaker
from strategies.mean_reversion import MeanReversion
from strategies.momentum import Momentum

STRATEGIES: dict[str, type[Strategy]] = {
    kind.name: kind for kind in (Momentum, MarketMaker, MeanReversion)
}


def create(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """Build a strategy from its name and parameters.

    Raises
    ------
    ConfigError
        One line per fault: an unknown strategy, an unknown parameter, a value out of bounds;
        each says what is allowed.
    """
    kind = STRATEGIES.get(name)
    if kind is None:
        raise ConfigError(f"unknown strategy {name!r}{_close(name, STRATEGIES)}")
    try:
        params = kind.Params(**parameters)
    except ValidationError as error:
        faults = [_fault(kind, item) for item in error.errors()]
        raise ConfigError("\n".join(faults)) from None
    except TypeError:
        raise ConfigError(f"{name}: parameter names must be text") from None
    return kind(params)


def _fault(kind: type[Strategy], item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    fields = kind.Params.model_fields
    if item["type"] == "extra_forbidden":
        return f"{kind.name}: unknown parameter {name!r}{_close(name, fields)}"
    reason = str(item["msg"]).removeprefix("Value error, ")
    if not name:
        return f"{kind.name}: {reason}"
    about = fields[name].description
    return f"{kind.name}: {name}={item.get('input')!r}: {reason}" + (f" ({about})" if about else "")


def _close(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint}; there are: {', '.join(sorted(known))}"
