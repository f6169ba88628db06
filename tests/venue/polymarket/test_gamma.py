"""Every recorded Gamma market, and what Gamma leaves out, gets late or spells oddly."""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadValue
from models.markets import TIMEFRAMES, FeeSchedule, Settlement
from models.settings import Settings
from models.units import SECOND_NS
from venue.polymarket.gamma import (
    CRYPTO_FEE,
    decode,
    fee_from_clob,
    market_in_event,
    parse_market,
    slug_of,
    winner_from_clob,
    winner_of,
)


def data() -> Path:
    return Settings().floor_data_dir


def listed_csv() -> Iterator[dict[str, str]]:
    path = data() / "polymarket_gamma_updown_markets_2025-12" / "updown_markets.csv"
    with path.open(newline="") as lines:
        yield from csv.DictReader(lines)


def resolved_5m() -> Iterator[Mapping[str, Any]]:
    folder = data() / "polymarket_btc_5m_chainlink_settlement"
    with gzip.open(folder / "BTC-5m-markets-2026-06-08.jsonl.gz", "rt") as lines:
        for line in lines:
            yield decode(line)


def sample(name: str) -> Any:
    path = data() / "polymarket_api_samples" / "http_responses" / f"{name}.json"
    return decode(path.read_text())


def raw(**changes: Any) -> dict[str, Any]:
    """A Gamma market of today; a change to None leaves the field out."""
    base: dict[str, Any] = {
        "slug": "btc-updown-15m-1800000000",
        "conditionId": "0xc",
        "question": "Bitcoin Up or Down",
        "outcomes": '["Up", "Down"]',
        "clobTokenIds": '["11", "22"]',
        "outcomePrices": '["0.5", "0.5"]',
        "eventStartTime": "2027-01-15T08:00:00Z",
        "endDate": "2027-01-15T08:15:00Z",
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "feesEnabled": True,
        "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2},
        "negRisk": False,
        "closed": False,
        "cryptoMarketConfig": {"asset": "BTC", "twapEnabled": True, "twapLookbackSeconds": 60},
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


# --- recorded markets -------------------------------------------------------------------------


def test_all_120_listed_markets_parse() -> None:
    rows = list(listed_csv())
    assert len(rows) == 120
    for row in rows:
        start, end = int(row["start_time"]), int(row["end_time"])
        market = parse_market(
            {
                "slug": row["slug"],
                "conditionId": "0x" + row["market_id"],
                "question": row["question"],
                "clobTokenIds": json.dumps([row["yes_token_id"], row["no_token_id"]]),
                "outcomes": '["Up", "Down"]',
                "resolutionSource": row["resolution_source"],
            }
        )
        assert market is not None
        assert (market.asset, market.timeframe) == (row["asset"], row["duration"])
        assert (market.up_token, market.down_token) == (row["yes_token_id"], row["no_token_id"])
        assert (market.start_ns, market.end_ns) == (start * SECOND_NS, end * SECOND_NS)
        assert market.slug == slug_of(market.asset, market.timeframe, start)
        assert market.settlement is Settlement.BOUNDARY
        assert market.fee.free


def test_the_full_recorded_events_parse() -> None:
    path = data() / "polymarket_gamma_updown_markets_2025-12" / "updown_markets_sample.json"
    events = decode(path.read_text())
    assert len(events) == 9
    for event in events:
        found = market_in_event(event, event["slug"])
        assert found is not None
        market = parse_market(found)
        assert market is not None
        assert market.window_s == TIMEFRAMES[market.timeframe]
        assert (market.tick_e4, market.min_size_e6) == (100, 5_000_000)


def test_all_292_resolved_markets_parse_with_fee_strike_and_winner() -> None:
    rows = list(resolved_5m())
    assert len(rows) == 292
    for row in rows:
        gamma = dict(row["raw"])
        strike = row["strike_value"]
        if strike:
            gamma["eventMetadata"] = {"priceToBeat": Decimal(strike) / 10**18}
        market = parse_market(gamma)
        assert market is not None
        assert market.condition_id == row["condition_id"]
        assert [market.up_token, market.down_token] == row["token_ids"]
        assert market.start_ns == row["start_sec"] * SECOND_NS
        assert market.end_ns == row["end_sec"] * SECOND_NS
        assert market.fee == FeeSchedule(70_000, 1, 200_000)
        assert market.settlement is Settlement.BOUNDARY
        if strike:
            assert market.strike_e8 is not None
            assert abs(market.strike_e8 * 10**10 - int(strike)) <= 5 * 10**9
        expected = row["token_ids"][row["outcome_prices"].index("1")]
        assert winner_of(gamma) == expected


def test_the_api_sample_parses() -> None:
    market = parse_market(sample("gamma_market"))
    assert market is not None
    assert market.slug == "btc-updown-5m-1773307200"
    assert market.timeframe == "5m"
    assert market.window_s == 300


def test_samples_of_other_kinds_of_market_are_refused_by_name() -> None:
    with pytest.raises(BadValue, match="kamala-harris-divorce-in-2025"):
        parse_market(sample("market_slug"))


# --- today's shape ----------------------------------------------------------------------------


def test_a_market_of_today() -> None:
    market = parse_market(raw())
    assert market is not None
    assert (market.asset, market.timeframe, market.window_s) == ("BTC", "15m", 900)
    assert market.fee == FeeSchedule(70_000, 1, 200_000)
    assert market.settlement is Settlement.TWAP_60
    assert market.strike_e8 is None


def test_tokens_follow_the_order_of_the_outcomes() -> None:
    market = parse_market(raw(outcomes='["Down", "Up"]'))
    assert market is not None
    assert (market.up_token, market.down_token) == ("22", "11")


@pytest.mark.parametrize("tokens", [None, "", "[]", '["11"]', '["", ""]', []])
def test_a_market_without_tokens_is_not_listed_yet(tokens: Any) -> None:
    assert parse_market(raw(clobTokenIds=tokens)) is None


def test_lists_may_come_plain() -> None:
    market = parse_market(raw(clobTokenIds=["11", "22"], outcomes=["Up", "Down"]))
    assert market is not None
    assert market.up_token == "11"


@pytest.mark.parametrize("changes", [
    {"slug": None}, {"slug": "btc-updown-7m-1"}, {"slug": "bitcoin-above-100k"},
    {"slug": "btc-updown-15m-soon"}, {"conditionId": None}, {"clobTokenIds": "{"},
    {"clobTokenIds": 7}, {"outcomes": '["Yes", "No"]'}, {"endDate": "2027-01-15T07:00:00Z"},
    {"eventStartTime": "yesterday"}, {"orderPriceMinTickSize": "x"},
    {"feeSchedule": {"rate": "x"}}, {"feeSchedule": {"rate": 0.07, "exponent": 1.5}},
    {"feeSchedule": {"rate": -0.1}},
])  # fmt: skip
def test_what_cannot_be_traded_safely_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        parse_market(raw(**changes))


@pytest.mark.parametrize(("changes", "fee"), [
    ({"feesEnabled": False}, FeeSchedule()), ({"feesEnabled": False, "feeSchedule": None},
     FeeSchedule()), ({"feeSchedule": None}, CRYPTO_FEE),
    ({"feesEnabled": None, "feeSchedule": None}, FeeSchedule()),
    ({"feesEnabled": None}, FeeSchedule(70_000, 1, 200_000)),
    ({"feeSchedule": {"rate": 0.05}}, FeeSchedule(50_000, 1, 0)),
])  # fmt: skip
def test_fees(changes: dict[str, Any], fee: FeeSchedule) -> None:
    market = parse_market(raw(**changes))
    assert market is not None
    assert market.fee == fee


def test_fees_from_the_clob() -> None:
    assert fee_from_clob({"fd": {"r": 0.07, "e": 1, "to": True}}) == FeeSchedule(70_000, 1)
    assert fee_from_clob({}).free


@pytest.mark.parametrize(("changes", "rule"), [
    ({"cryptoMarketConfig": {"twapEnabled": False}}, Settlement.BOUNDARY),
    ({"cryptoMarketConfig": '{"twapEnabled": true}'}, Settlement.TWAP_60),
    ({"cryptoMarketConfig": None}, Settlement.TWAP_60),
    ({"cryptoMarketConfig": None, "endDate": "2026-08-07T00:00:00Z",
      "eventStartTime": "2026-08-06T23:45:00Z"}, Settlement.BOUNDARY),
    ({"cryptoMarketConfig": None, "endDate": "2026-08-07T00:15:00Z",
      "eventStartTime": "2026-08-07T00:00:00Z"}, Settlement.TWAP_60),
])  # fmt: skip
def test_settlement_rule(changes: dict[str, Any], rule: Settlement) -> None:
    market = parse_market(raw(**changes))
    assert market is not None
    assert market.settlement is rule


@pytest.mark.parametrize(("metadata", "strike"), [
    ({"priceToBeat": Decimal("63123.544863797618")}, 6_312_354_486_380),
    ('{"priceToBeat": 63123.5}', 6_312_350_000_000), ({"priceToBeat": None}, None),
    ({"priceToBeat": 0}, None), ({}, None), (None, None), ("", None),
])  # fmt: skip
def test_strike_appears_late(metadata: Any, strike: int | None) -> None:
    event = {"slug": "e", "eventMetadata": metadata, "markets": [raw()]}
    found = market_in_event(event, raw()["slug"])
    assert found is not None
    for gamma in (found, raw(events=[{"eventMetadata": metadata}])):
        market = parse_market(gamma)
        assert market is not None
        assert market.strike_e8 == strike


# --- winners ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("closed", "prices", "winner"), [
    (True, '["1", "0"]', "11"), (True, '["0", "1"]', "22"), (True, '["1.0", "0.0"]', "11"),
    (False, '["1", "0"]', None), (True, '["0.9995", "0.0005"]', None),
    (True, '["0", "0"]', None), (True, '["0.5", "0.5"]', None), (True, None, None),
    (True, "[]", None),
])  # fmt: skip
def test_only_exact_prices_of_a_closed_market_name_a_winner(
    closed: bool, prices: str | None, winner: str | None
) -> None:
    assert winner_of(raw(closed=closed, outcomePrices=prices)) == winner


def test_winner_by_the_clob() -> None:
    tokens = [{"token_id": "11", "winner": False}, {"token_id": "22", "winner": True}]
    assert winner_from_clob({"closed": True, "tokens": tokens}) == "22"
    assert winner_from_clob({"closed": False, "tokens": tokens}) is None
    assert winner_from_clob({"closed": True, "tokens": tokens[:1]}) is None
