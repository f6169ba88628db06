"""The recorded sets as tapes: what their SOURCE.md says of them is what the tapes hold."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import ConfigError
from models.markets import Outcome, Settlement
from models.tape import Row, Tape
from risk.digital import up_probabilities
from store.tape import ReadOptions, check_tape, convert, cut, read_recording, write_tape
from store.tape.readers.bars import ModelBook, read_bars
from store.tape.readers.book5 import FILE, read_book5
from store.tape.readers.captures import read_captures

BOOKS = "polymarket_btc_15m_book5_2026-02"
CAPTURES = "polymarket_crypto_captures_2026-06"
BARS = "spot_binance_1m/BTCUSDT_1m_2026-03-23_2026-04-22.parquet"


@pytest.fixture(scope="module")
def books(data_dir: Path) -> Tape:
    return read_book5(data_dir / BOOKS)


@pytest.fixture(scope="module")
def raw(data_dir: Path) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = pq.read_table(data_dir / BOOKS / FILE).to_pydict()
    return columns


def kinds(tape: Tape) -> dict[Row, int]:
    return {row: count for row in Row if (count := int((tape.kind == row).sum()))}


def test_every_second_of_the_books_is_told_whole(books: Tape, raw: dict[str, list]) -> None:
    inside = [i for i, ts in enumerate(raw["ts_ms"]) if ts < raw["window_end_ms"][i]]
    levels = sum(
        raw[f"{side}_px_up_{level}"][i] == raw[f"{side}_px_up_{level}"][i]
        and raw[f"{side}_px_up_{level}"][i] is not None
        for i in inside
        for side in ("bid", "ask")
        for level in range(1, 6)
    )
    assert len(raw["ts_ms"]) == 2_811
    found = kinds(books)
    assert found[Row.CLEAR] == len(inside) == 2_797
    assert found[Row.LEVEL] == levels
    assert found[Row.SPOT] + books.reports[0].counts["stale_spot"] == 2_811
    assert dict(books.reports[0].counts) == {"late_row": 14, "mirror_broken": 1, "stale_spot": 10}
    assert books.depth == 5


def test_a_second_of_the_books_is_what_was_recorded(books: Tape, raw: dict[str, list]) -> None:
    i = 500
    at = books.ts_ns == raw["ts_ms"][i] * 1_000_000
    levels = at & (books.kind == Row.LEVEL)
    for side, name in enumerate(("bid", "ask")):
        rows = levels & (books.side == side)
        expected = [
            (round(raw[f"{name}_px_up_{n}"][i] * 1e4), round(raw[f"{name}_sz_up_{n}"][i] * 1e6))
            for n in range(1, 6)
        ]
        found = list(zip(books.price[rows].tolist(), books.size[rows].tolist(), strict=True))
        assert found == expected
    spot = books.size[at & (books.kind == Row.SPOT)]
    assert spot.tolist() == [round(raw["chainlink_btc"][i] * 1e8)]


def test_derived_winners_are_those_of_the_last_book(books: Tape) -> None:
    winners = books.winners()
    assert len(books.markets) == 4
    assert len(winners) == 3
    for number, market in enumerate(books.markets[:3]):
        levels = (books.market == number) & (books.kind == Row.LEVEL)
        last = levels & (books.ts_ns == books.ts_ns[levels][-1])
        bids = books.price[last & (books.side == 0)]
        asks = books.price[last & (books.side == 1)]
        says_up = (len(bids) > 0 and bids.max() > 5_000) or (len(asks) > 0 and asks.min() > 5_000)
        assert winners[market.condition_id] is (Outcome.UP if says_up else Outcome.DOWN)
        assert market.strike_e8 is not None
        assert market.settlement is Settlement.BOUNDARY
        assert market.fee.of_notional
    assert any("derived" in note for note in books.reports[0].notes)


def test_the_raw_forms_defects_are_found_by_rule(data_dir: Path, tmp_path: Path) -> None:
    table = pq.read_table(data_dir / BOOKS / FILE).slice(0, 40)

    def with_value(name: str, row: int, value: object) -> None:
        nonlocal table
        values = table[name].to_pylist()
        values[row] = value
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))

    with_value("bid_px_up_1", 10, 0.97)
    with_value("ask_px_up_2", 11, 0.50005)
    with_value("bid_sz_up_1", 12, -3.0)
    with_value("ask_px_up_5", 13, 0.02)
    with_value("bid_sz_down_1", 14, 1.0)
    with_value("token_id_up", 15, "999")
    doubled = pa.concat_tables([table, table.slice(38, 2)])
    pq.write_table(doubled, tmp_path / FILE)
    tape = read_book5(tmp_path)
    counts = dict(tape.reports[0].counts)
    assert counts == {
        "crossed_book": 1, "duplicate_row": 2, "mirror_broken": 1, "negative_size": 1,
        "off_grid_price": 1, "stale_spot": 1, "unknown_token": 1, "unordered_levels": 1,
    }  # fmt: skip
    assert tape.reports[0].samples["crossed_book"][0].startswith("row 10:")
    path = tmp_path / "t"
    write_tape(tape, path)
    assert dict(check_tape(path).counts) == {}


def test_books_put_together_wrongly_are_refused(data_dir: Path, tmp_path: Path) -> None:
    table = pq.read_table(data_dir / BOOKS / FILE)
    turned = pa.concat_tables([table.slice(100, 100), table.slice(0, 100)])
    pq.write_table(turned, tmp_path / FILE)
    with pytest.raises(ConfigError, match="goes back in time by"):
        read_book5(tmp_path)
    pq.write_table(table.drop_columns(["ask_px_up_3"]), tmp_path / FILE)
    with pytest.raises(ConfigError, match="column 'ask_px_up_3' is missing"):
        read_book5(tmp_path)


def test_all_captures_are_there(data_dir: Path) -> None:
    tape = read_captures(
        data_dir / CAPTURES,
        assets=("BTC", "ETH", "SOL", "XRP", "DOGE", "BNB"),
        timeframes=("5m", "15m", "1h", "4h", "1d"),
    )
    found = kinds(tape)
    assert found[Row.CLEAR] == 144_899
    assert len(tape.markets) == 8_030
    assert found[Row.RESOLVED] == 1_885
    assert found[Row.SPOT] == 163_845
    assert tape.reports[0].counts["crossed_book"] == 1
    told = tape.kind == Row.CLEAR
    starts = np.array([market.start_ns for market in tape.markets])
    live = np.unique(tape.market[told][tape.ts_ns[told] >= starts[tape.market[told]]])
    series = [(tape.markets[i].asset, tape.markets[i].timeframe) for i in live]
    assert series.count(("BTC", "15m")) == series.count(("ETH", "15m")) == 312


def test_captured_outcomes_are_the_official_ones(data_dir: Path) -> None:
    tape = read_captures(data_dir / CAPTURES, assets=("BTC",), timeframes=("5m", "15m"))
    questions = {market.question: market.condition_id for market in tape.markets}
    winners = tape.winners()
    agreed = 0
    with gzip.open(data_dir / CAPTURES / "resolved_predictions.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            condition_id = questions.get(row["question"])
            if condition_id in winners:
                up = winners[condition_id] is Outcome.UP
                assert row["outcome_real"] == ("YES" if up else "NO")
                agreed += 1
    assert agreed > 200


def test_bars_become_windows_whose_winner_is_the_bars_own(data_dir: Path) -> None:
    source = data_dir / BARS
    table = pq.read_table(source, columns=["date", "open", "close"]).to_pydict()
    bars = {int(d.timestamp()): (o, c) for d, o, c in zip(*table.values(), strict=True)}
    first = min(bars) + 6 * 3600
    tape = read_bars(
        source, up_probabilities, model=ModelBook(every_s=20.0),
        start_ns=first * 10**9, end_ns=(first + 12 * 3600) * 10**9,
    )  # fmt: skip
    winners = tape.winners()
    assert len(tape.markets) == len(winners) == 47
    for market in tape.markets:
        start, end = market.start_ns // 10**9, market.end_ns // 10**9
        strike, closing = bars[start][0], bars[end - 60][1]
        assert market.strike_e8 == round(strike * 1e8)
        assert winners[market.condition_id] is (Outcome.UP if closing >= strike else Outcome.DOWN)
    assert any("MODELLED" in note for note in tape.reports[0].notes)


def test_bars_are_the_same_by_seed_by_part_and_by_file(data_dir: Path, tmp_path: Path) -> None:
    begin = 1_774_300_500
    options = ReadOptions(
        value=up_probabilities, model=ModelBook(every_s=10.0),
        start_ns=begin * 10**9, end_ns=(begin + 4 * 900) * 10**9,
    )  # fmt: skip
    tape = read_recording(data_dir / BARS, options)
    filed = convert(data_dir / BARS, tmp_path / "t", options)
    for name in ("recv_ns", "kind", "market", "price", "size"):
        np.testing.assert_array_equal(getattr(filed, name), getattr(tape, name))
    assert dict(check_tape(tmp_path / "t").counts) == {}
    other = read_bars(
        data_dir / BARS, up_probabilities, model=ModelBook(every_s=10.0, seed=8),
        start_ns=options.start_ns, end_ns=options.end_ns,
    )  # fmt: skip
    assert not np.array_equal(other.size[:500], tape.size[:500])


def test_modelled_books_stand_around_the_fair_value(data_dir: Path) -> None:
    begin = 1_774_300_500
    tape = read_bars(
        data_dir / BARS, lambda spot, strike, vol, left: np.full(len(spot), 0.30),
        model=ModelBook(every_s=5.0, noise_e4=0.0, spread_e4=200, depth=2),
        start_ns=begin * 10**9, end_ns=(begin + 900) * 10**9,
    )  # fmt: skip
    levels = tape.kind == Row.LEVEL
    assert set(tape.price[levels & (tape.side == 0)].tolist()) == {2_900, 2_800}
    assert set(tape.price[levels & (tape.side == 1)].tolist()) == {3_100, 3_200}
    trades = tape.kind == Row.TRADE
    assert set(tape.price[trades & (tape.side == 0)].tolist()) <= {3_100}
    assert set(tape.price[trades & (tape.side == 1)].tolist()) <= {2_900}
    assert trades.sum() > 0


def test_a_day_of_quotes_is_streamed(data_dir: Path, tmp_path: Path) -> None:
    source = pq.ParquetFile(data_dir / "quotes_load_2026-08-01/quotes_2026-08-01_full_day.parquet")
    part = source.read_row_groups([0, 1])
    path = tmp_path / "quotes_2026-08-01_full_day.parquet"
    pq.write_table(part, path)
    told: list[tuple[int, int]] = []
    tape = convert(
        tmp_path, tmp_path / "t", on_progress=lambda done, total: told.append((done, total))
    )
    columns = part.to_pydict()
    assert kinds(tape)[Row.CLEAR] == part.num_rows == told[-1][0]
    assert len(tape.markets) == len(set(columns["slug"]))
    bids = sum(bid is not None and bid > 0 for bid in columns["bid"])
    crossed = tape.reports[0].counts.get("crossed_book", 0)
    assert int(((tape.kind == Row.LEVEL) & (tape.side == 0)).sum()) == bids - crossed


def test_a_part_of_the_books_begins_with_whole_books(books: Tape) -> None:
    market = books.markets[1]
    at_ns = market.start_ns + 100 * 10**9
    part = cut(books, at_ns, market.end_ns)
    first = part.recv_ns == at_ns
    assert (part.kind[first] == Row.CLEAR).sum() == 1
    assert part.market[first & (part.kind == Row.LEVEL)].tolist() == [1] * int(
        (first & (part.kind == Row.LEVEL)).sum()
    )
    before = books.recv_ns < at_ns
    last = before & (books.kind == Row.CLEAR)
    told = books.recv_ns == books.recv_ns[last][-1]
    np.testing.assert_array_equal(
        part.price[first & (part.kind == Row.LEVEL)],
        books.price[told & (books.kind == Row.LEVEL)],
    )
