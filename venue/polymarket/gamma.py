"""Gamma's market objects to our `Market`: pure reading, no I/O.

Gamma writes lists as JSON text inside JSON (``"[\\"Up\\", \\"Down\\"]"``), leaves out what does not
apply, and learns the price to beat late.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from models.errors import BadValue
from models.markets import TIMEFRAMES, FeeSchedule, Market, Outcome, Settlement
from models.units import SECOND_NS, to_price_e4, to_size_e6, to_spot_e8

TWAP_SINCE_NS = int(datetime(2026, 8, 7, tzinfo=UTC).timestamp()) * SECOND_NS
"""Windows that end after this settle on the TWAP."""
CRYPTO_FEE = FeeSchedule(rate_ppm=70_000, exponent=1, rebate_ppm=200_000)
"""Assumed for a market with fees whose schedule Gamma does not state: the dearest it can be."""
DEFAULT_TICK = "0.01"
DEFAULT_MIN_SIZE = "5"
_PPM = 1_000_000


def decode(text: str | bytes) -> Any:
    """Decode JSON with exact decimals."""
    return json.loads(text, parse_float=Decimal)


def slug_of(asset: str, timeframe: str, start_s: int) -> str:
    """Slug of an up/down market, ``btc-updown-15m-1771632000``."""
    return f"{asset.lower()}-updown-{timeframe}-{start_s}"


def market_in_event(event: Mapping[str, Any], slug: str) -> Mapping[str, Any] | None:
    """Pick the market of an event's single-market object; the event's own data go with it."""
    for market in event.get("markets") or ():
        if isinstance(market, Mapping) and market.get("slug") == slug:
            merged = dict(market)
            merged.setdefault("eventMetadata", event.get("eventMetadata"))
            merged.setdefault("eventStartTime", event.get("startTime"))
            return merged
    return None


def parse_market(raw: Mapping[str, Any]) -> Market | None:
    """Read one Gamma market.

    Returns
    -------
    None while the venue has not given the market its tokens yet.

    Raises
    ------
    BadValue
        The object is not an up/down market or lacks what trading needs.
    """
    slug = _text(raw, "slug")
    asset, timeframe = _family(slug)
    tokens = _strings(raw.get("clobTokenIds"), "clobTokenIds", slug)
    if len(tokens) != 2 or not all(tokens):
        return None
    up, down = _tokens_by_outcome(raw, tokens, slug)
    start_ns, end_ns = _window(raw, slug, timeframe)
    return Market(
        condition_id=_text(raw, "conditionId"),
        slug=slug,
        question=str(raw.get("question") or ""),
        asset=asset,
        timeframe=timeframe,
        up_token=up,
        down_token=down,
        start_ns=start_ns,
        end_ns=end_ns,
        tick_e4=to_price_e4(raw.get("orderPriceMinTickSize") or DEFAULT_TICK),
        min_size_e6=to_size_e6(raw.get("orderMinSize") or DEFAULT_MIN_SIZE),
        fee=fee_of(raw),
        settlement=_settlement(raw, end_ns),
        neg_risk=bool(raw.get("negRisk")),
        strike_e8=_strike(raw),
    )


def fee_of(raw: Mapping[str, Any]) -> FeeSchedule:
    """Fee schedule of a Gamma market; free when its fees are off."""
    schedule = raw.get("feeSchedule")
    if isinstance(schedule, Mapping):
        if raw.get("feesEnabled") is False:
            return FeeSchedule()
        return FeeSchedule(
            rate_ppm=_ppm(schedule.get("rate"), "feeSchedule.rate"),
            exponent=_exponent(schedule.get("exponent")),
            rebate_ppm=_ppm(schedule.get("rebateRate"), "feeSchedule.rebateRate"),
        )
    return CRYPTO_FEE if raw.get("feesEnabled") else FeeSchedule()


def fee_from_clob(raw: Mapping[str, Any]) -> FeeSchedule:
    """Fee schedule of the CLOB's compact market info (``fd``); absent means free."""
    schedule = raw.get("fd")
    if not isinstance(schedule, Mapping):
        return FeeSchedule()
    return FeeSchedule(
        rate_ppm=_ppm(schedule.get("r"), "fd.r"), exponent=_exponent(schedule.get("e"))
    )


def winner_of(raw: Mapping[str, Any]) -> str | None:
    """Winning token of a closed Gamma market; None while its prices are not exactly 1 and 0."""
    if not raw.get("closed"):
        return None
    slug = str(raw.get("slug"))
    tokens = _strings(raw.get("clobTokenIds"), "clobTokenIds", slug)
    prices = _strings(raw.get("outcomePrices"), "outcomePrices", slug)
    if len(tokens) != 2 or len(prices) != 2:
        return None
    values = [_decimal(price, "outcomePrices") for price in prices]
    if sorted(values) != [0, 1]:
        return None
    return tokens[values.index(Decimal(1))]


def winner_from_clob(raw: Mapping[str, Any]) -> str | None:
    """Winning token of the CLOB's full market object; None while none is marked."""
    if not raw.get("closed"):
        return None
    for token in raw.get("tokens") or ():
        if isinstance(token, Mapping) and token.get("winner") is True:
            return str(token.get("token_id"))
    return None


def _family(slug: str) -> tuple[str, str]:
    asset, kind, timeframe, *rest = [*slug.split("-"), "", "", ""]
    if kind != "updown" or timeframe not in TIMEFRAMES or not rest[0].isdigit():
        raise BadValue(f"market {slug!r} is not an up/down market of {', '.join(TIMEFRAMES)}")
    return asset.upper(), timeframe


def _tokens_by_outcome(raw: Mapping[str, Any], tokens: list[str], slug: str) -> tuple[str, str]:
    """Up and Down token; Gamma lists tokens in the order of the outcomes' names."""
    names = _strings(raw.get("outcomes"), "outcomes", slug) or [Outcome.UP, Outcome.DOWN]
    if sorted(names) != [Outcome.DOWN, Outcome.UP]:
        raise BadValue(f"market {slug}: outcomes {names} are not Up and Down")
    up = names.index(Outcome.UP)
    return tokens[up], tokens[1 - up]


def _window(raw: Mapping[str, Any], slug: str, timeframe: str) -> tuple[int, int]:
    """Start and end; the start is the slug's epoch where Gamma leaves its own out."""
    given = raw.get("eventStartTime")
    start_ns = _time_ns(given, slug) if given else int(slug.rsplit("-", 1)[1]) * SECOND_NS
    end = raw.get("endDate")
    end_ns = _time_ns(end, slug) if end else start_ns + TIMEFRAMES[timeframe] * SECOND_NS
    if end_ns <= start_ns:
        raise BadValue(f"market {slug}: endDate {end!r} is not after its start {given!r}")
    return start_ns, end_ns


def _settlement(raw: Mapping[str, Any], end_ns: int) -> Settlement:
    config = raw.get("cryptoMarketConfig")
    if isinstance(config, str) and config:
        config = decode(config)
    if isinstance(config, Mapping) and "twapEnabled" in config:
        return Settlement.TWAP_60 if config["twapEnabled"] else Settlement.BOUNDARY
    if "twap" in str(raw.get("resolutionSource") or "").lower():
        return Settlement.TWAP_60
    return Settlement.TWAP_60 if end_ns > TWAP_SINCE_NS else Settlement.BOUNDARY


def _strike(raw: Mapping[str, Any]) -> int | None:
    """Price to beat from the event's data; None until Gamma knows it."""
    holders = [raw, *(e for e in raw.get("events") or () if isinstance(e, Mapping))]
    for holder in holders:
        data = holder.get("eventMetadata")
        if isinstance(data, str) and data:
            data = decode(data)
        if isinstance(data, Mapping) and data.get("priceToBeat") not in (None, "", 0, "0"):
            return to_spot_e8(data["priceToBeat"])
    return None


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise BadValue(f"Gamma market {raw.get('slug') or raw.get('id')!r} has no {name}")
    return value


def _strings(value: Any, name: str, slug: str) -> list[str]:
    """A list of strings, also when it comes as JSON text; empty when it is missing."""
    if isinstance(value, str):
        try:
            value = decode(value) if value else []
        except ValueError as error:
            raise BadValue(f"market {slug}: {name} {value[:80]!r} is not a JSON list") from error
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadValue(f"market {slug}: {name} is a {type(value).__name__}, not a list")
    return [str(item) if item is not None else "" for item in value]


def _time_ns(value: Any, slug: str) -> int:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadValue(f"market {slug}: time {value!r} cannot be read") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND_NS


def _ppm(value: Any, name: str) -> int:
    exact = _decimal(value if value is not None else 0, name) * _PPM
    if exact != int(exact) or exact < 0:
        raise BadValue(f"{name} {value!r} is not a whole number of millionths")
    return int(exact)


def _exponent(value: Any) -> int:
    exact = _decimal(value if value is not None else 1, "exponent")
    if exact != int(exact) or not 0 <= exact <= 4:
        raise BadValue(f"fee exponent {value!r} is not a whole number from 0 to 4")
    return int(exact)


def _decimal(value: Any, name: str) -> Decimal:
    try:
        return Decimal(str(value))
    except ArithmeticError as error:
        raise BadValue(f"{name} {value!r} is not a number") from error
