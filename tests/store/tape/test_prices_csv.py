"""CSV prices: right lines become books, wrong ones are named by file and line."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import BadValue, ConfigError
from models.markets import Outcome
from models.tape import Row
from models.units import SECOND_NS
from store.tape.convert import reader_of
from store.tape.readers.prices_csv import PriceBook, Volume, read_prices_csv

HEADER = "timestamp,market_id,question,yes_price,volume,token_id\n"
SLUG = "btc-updown-15m-1771633800"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "prices.csv"
    path.write_text(HEADER + "".join(line + "\n" for line in lines))
    return path


def test_a_price_becomes_a_book_around_it(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"2026-02-21T00:30:00Z,{SLUG},Bitcoin up?,0.50,10,tok",
        f'1771633801,{SLUG},"Up, or down?",0.505,25,tok',
        f"1771633802000,{SLUG},Bitcoin up?,0.99,25,tok",
    )
    assert reader_of(path).name == "csv"
    tape = read_prices_csv(path, book=PriceBook(200, 7_000_000), volume=Volume.CUMULATIVE)
    rows = list(
        zip(
            ((tape.ts_ns - 1_771_633_800 * SECOND_NS) // SECOND_NS).tolist(),
            map(Row, tape.kind.tolist()), tape.side.tolist(), tape.price.tolist(),
            tape.size.tolist(), strict=True,
        )
    )  # fmt: skip
    assert rows == [
        (0, Row.TRADE, 0, 5_000, 10_000_000),
        (0, Row.CLEAR, 0, 0, 0),
        (0, Row.LEVEL, 0, 4_900, 7_000_000),
        (0, Row.LEVEL, 1, 5_100, 7_000_000),
        (1, Row.TRADE, 0, 5_050, 15_000_000),
        (1, Row.TICK, 0, 10, 0),
        (1, Row.CLEAR, 0, 0, 0),
        (1, Row.LEVEL, 0, 4_950, 7_000_000),
        (1, Row.LEVEL, 1, 5_150, 7_000_000),
        (2, Row.CLEAR, 0, 0, 0),
        (2, Row.LEVEL, 0, 9_800, 7_000_000),
    ]
    market = tape.markets[0]
    assert (market.asset, market.timeframe, market.up_token) == ("BTC", "15m", "tok")


@pytest.mark.parametrize(
    ("line", "rule", "reason"),
    [
        ("yesterday,m,q,0.5,1,t", "malformed_row", "timestamp 'yesterday' is no time"),
        ("nan,m,q,0.5,1,t", "malformed_row", "timestamp 'nan' is no time"),
        ("-5,m,q,0.5,1,t", "malformed_row", "out of range"),
        ("1e999999,m,q,0.5,1,t", "malformed_row", "is no time"),
        ("1771633801,m,q,half,1,t", "malformed_row", "yes_price 'half' is no number"),
        ("1771633801,m,q,NaN,1,t", "malformed_row", "yes_price 'NaN'"),
        ("1771633801,m,q,,1,t", "malformed_row", "yes_price ''"),
        ("1771633801,m,q,1.5,1,t", "off_grid_price", "'1.5' is not between 0 and 1"),
        ("1771633801,m,q,0,1,t", "off_grid_price", "'0' is not between"),
        ("1771633801,m,q,0.12345,1,t", "off_grid_price", "'0.12345'"),
        ("1771633801,m,q,0.5,-1,t", "negative_size", "volume '-1'"),
        ("1771633801,m,q,0.5,1,u", "unknown_token", "'u' is not m's first token"),
        ("1771633801,,q,0.5,1,t", "malformed_row", "market_id or token_id is empty"),
        ("1771633801,m,q,0.5,1", "malformed_row", "5 values, the header has 6"),
        ("1771633800,m,q,0.4,1,t", "duplicate_row", "m at 1771633800"),
        (f"1771633700,{SLUG},q,0.5,1,t\n1771634700,{SLUG},q,0.5,1,t", "late_row", "after the end"),
    ],
)
def test_a_wrong_line_is_named_counted_and_skipped(
    line: str, rule: str, reason: str, tmp_path: Path
) -> None:
    path = written(tmp_path, "1771633800,m,q,0.4,1,t", line, "1771633900,m,q,0.6,1,t")
    tape = read_prices_csv(path)
    report = tape.reports[0]
    assert dict(report.counts) == {rule: 1}
    number = 3 + line.count("\n")
    assert report.samples[rule][0].startswith(f"prices.csv:{number}: ")
    assert reason in report.samples[rule][0]
    assert report.rows == 3 + line.count("\n")
    told = int((tape.kind == Row.CLEAR).sum())
    assert told == report.rows - 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"))))
def test_no_line_is_lost_silently(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    right = "1771633800,m,q,0.4,1,t\n"
    path.write_text(HEADER + right + "\n".join(lines), encoding="utf-8", newline="")
    tape = read_prices_csv(path)
    report = tape.reports[0]
    assert int((tape.kind == Row.CLEAR).sum()) + sum(report.counts.values()) == report.rows


def test_markets_may_mix_but_each_goes_forward(tmp_path: Path) -> None:
    a, b = "1771633860,a,q,0.4,1,ta", "1771633800,b,q,0.6,1,tb"
    tape = read_prices_csv(
        written(tmp_path, a, b, "1771633858,a,q,0.5,1,ta"), winners={"a": Outcome.DOWN}
    )
    assert [tape.markets[i].condition_id for i in tape.market[tape.kind == Row.CLEAR]] == [
        "b", "a", "a",
    ]  # fmt: skip
    assert dict(tape.reports[0].counts) == {"time_backwards": 1}
    assert tape.winners() == {"a": Outcome.DOWN}
    with pytest.raises(ConfigError, match=r"a goes back in time by 60\.000 s"):
        read_prices_csv(written(tmp_path, a, "1771633800,a,q,0.5,1,ta"))


def test_a_file_that_is_no_such_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("time,price\n1,2\n")
    with pytest.raises(ConfigError, match=r"columns \['timestamp'"):
        read_prices_csv(path)
    path.write_text(HEADER)
    with pytest.raises(ConfigError, match="it has no rows"):
        read_prices_csv(path)
    path.write_text(HEADER + "x,m,q,0.5,1,t\n")
    with pytest.raises(ConfigError, match=r"no row could be read; prices\.csv:2: timestamp 'x'"):
        read_prices_csv(path)
    path.write_bytes(HEADER.encode() + b"\xff\xfe\n")
    with pytest.raises(ConfigError, match="can't be read as CSV"):
        read_prices_csv(path)
    with pytest.raises(ConfigError, match="can't be read as CSV"):
        read_prices_csv(tmp_path / "missing.csv")
    with pytest.raises(BadValue, match="above zero"):
        PriceBook(spread_e4=0)
