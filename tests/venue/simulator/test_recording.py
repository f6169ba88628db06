"""The recorded books and the spot path that goes with them."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigError
from models.markets import Outcome, Settlement
from models.settings import Settings
from models.units import PRICE_ONE, SECOND_NS
from venue.simulator.config import RECORDING, Series
from venue.simulator.recording import LENGTH_MS, Recording, load_recording
from venue.simulator.replay import ReplaySource
from venue.simulator.spot import ModelPath, RecordedPath, twap_e8
from venue.simulator.windows import make_window

WINDOW_NS = 900 * SECOND_NS


@pytest.fixture(scope="module")
def path():
    path = Settings().floor_data_dir / RECORDING
    assert path.is_file(), f"the recorded data is missing: {path}"
    return path


@pytest.fixture(scope="module")
def recording(path) -> Recording:
    return load_recording(path)


def test_three_whole_windows_are_played_and_the_partial_one_is_not(recording):
    assert [len(window) for window in recording.windows] == [889, 889, 889]
    assert recording.span_ms == 3 * LENGTH_MS
    assert all(0 <= row.at_ms < LENGTH_MS for window in recording.windows for row in window)


def test_every_row_is_an_uncrossed_book_on_the_price_grid(recording):
    for window in recording.windows:
        for row in window:
            assert all(0 < price < PRICE_ONE and size > 0 for price, size in row.bids + row.asks)
            if row.bids and row.asks:
                assert row.bids[0][0] < row.asks[0][0]


def test_mirrored_twice_is_the_same(recording):
    for row in recording.windows[0][::50]:
        mirrored = row.mirrored()
        assert mirrored.mirrored() == row
        assert [t.outcome for t in mirrored.takers] == [t.outcome.other for t in row.takers]


def test_spot_is_continuous_and_returns_to_its_start(recording):
    spot = RecordedPath(recording)
    start = 1_800_000_000 // 5400 * 5400 * SECOND_NS
    prices = [spot.price_e8(start + s * SECOND_NS) for s in range(5401)]
    steps = [abs(b - a) / a for a, b in pairwise(prices)]
    assert max(steps) < 0.001
    assert prices[0] == prices[5400]


@pytest.mark.parametrize("lap", range(6))
def test_the_boundary_rule_agrees_with_the_last_recorded_book(recording, lap):
    spot = RecordedPath(recording)
    start = 1_800_000_000 // 5400 * 5400 * SECOND_NS + lap * WINDOW_NS
    went_up = spot.price_e8(start + WINDOW_NS) >= spot.price_e8(start)
    row = recording.windows[lap % 3][-1]
    row = row.mirrored() if lap >= 3 else row
    best_bid = row.bids[0][0] if row.bids else 0
    assert (best_bid > 5000) == went_up


@pytest.mark.parametrize("length", [900, 60])
def test_replay_gives_every_row_once_in_time(recording, length):
    source = ReplaySource(recording)
    window = make_window(Series("BTC", "15m"), 1_800_000_000, length, Settlement.BOUNDARY, 0)
    player = source.open(window, 0)
    first = player.play(window.market.start_ns - 10 * SECOND_NS, 100)
    assert [level for step in first for level in step.bids] == [(4900, 100_000_000)]
    steps = 0
    last = 0
    while (due := player.next_ns()) is not None:
        assert due >= last
        assert window.market.start_ns <= due < window.market.end_ns
        last = due
        steps += len(player.play(due, 100))
    assert steps == 889


def test_replay_joined_in_the_middle_does_not_repeat_old_trades(recording):
    source = ReplaySource(recording)
    window = make_window(Series("BTC", "15m"), 1_800_000_000, 900, Settlement.BOUNDARY, 0)
    player = source.open(window, 0)
    steps = player.play(window.market.start_ns + 450 * SECOND_NS, 100)
    assert len(steps) == 2


@settings(max_examples=200, deadline=None)
@given(second=st.integers(1_700_000_000, 2_200_000_000))
def test_model_path_moves_little_by_little_and_the_same_way_each_time(second):
    path, again = MODELS
    now, then = path.price_e8(second * SECOND_NS), path.price_e8((second + 1) * SECOND_NS)
    assert now == again.price_e8(second * SECOND_NS)
    assert abs(then - now) / now < 0.002


MODELS = (ModelPath("ETH", 7), ModelPath("ETH", 7))


def test_other_seeds_and_assets_are_other_paths():
    at = 1_800_000_123 * SECOND_NS
    assert ModelPath("ETH", 7).price_e8(at) != ModelPath("ETH", 8).price_e8(at)
    assert ModelPath("ETH", 7).price_e8(at) != ModelPath("BTC", 7).price_e8(at)


def test_twap_is_the_mean_of_the_seconds_before():
    class Ramp:
        volatility = 0.0

        def price_e8(self, at_ns: int) -> int:
            return at_ns // SECOND_NS

    assert twap_e8(Ramp(), 1000, 60) == (940 + 999 + 1) // 2


# --- malformed recordings ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(path) -> pa.Table:
    return pq.read_table(path)


def changed(table: pa.Table, column: str, row: int, value) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    index = table.schema.get_field_index(column)
    return table.set_column(index, column, pa.array(values, table.schema.field(index).type))


@pytest.mark.parametrize(
    ("column", "row", "value", "defect"),
    [
        ("bid_px_up_1", 7, 1.5, "row 7: bid level 1 is 1.5"),
        ("bid_px_up_2", 7, 0.99, "row 7: bid level 2 at 0.99 is out of order"),
        ("ask_px_up_1", 9, 0.01, "row 9"),
        ("ask_sz_up_1", 9, -3.0, "row 9: ask level 1"),
        ("bid_px_up_1", 7, 0.123456, "more decimals"),
        ("ts_ms", 20, 5, "row 20: ts_ms 5 does not rise"),
        ("window_end_ms", 30, 1, "row 30: its window lasts"),
        ("chainlink_btc", 40, -1.0, "row 40: chainlink_btc is -1.0"),
        ("last_trade_side_up", 50, "MAYBE", "MAYBE"),
    ],
)
def test_a_defect_is_one_line_that_names_file_and_place(
    table, tmp_path, column, row, value, defect
):
    broken = tmp_path / "broken.parquet"
    pq.write_table(changed(table, column, row, value), broken)
    with pytest.raises(ConfigError) as error:
        load_recording(broken)
    message = str(error.value)
    assert "\n" not in message
    assert str(broken) in message
    assert defect in message


def test_missing_columns_rows_and_files_are_named(table, tmp_path):
    short = tmp_path / "short.parquet"
    pq.write_table(table.drop_columns(["chainlink_btc"]), short)
    with pytest.raises(ConfigError, match="column 'chainlink_btc' is missing"):
        load_recording(short)
    pq.write_table(table.slice(0, 0), short)
    with pytest.raises(ConfigError, match="no rows"):
        load_recording(short)
    pq.write_table(table.slice(0, 300), short)
    with pytest.raises(ConfigError, match="no whole window"):
        load_recording(short)
    short.write_bytes(b"not parquet at all")
    with pytest.raises(ConfigError, match="can't be read as Parquet"):
        load_recording(short)
    with pytest.raises(ConfigError, match="can't be read as Parquet"):
        load_recording(tmp_path / "nowhere.parquet")


def test_windows_have_the_same_ids_every_time():
    one = make_window(Series("BTC", "15m"), 1_800_000_000, 900, Settlement.BOUNDARY, 0)
    two = make_window(Series("BTC", "15m"), 1_800_000_000, 900, Settlement.BOUNDARY, 5)
    assert one.market.slug == "btc-updown-15m-1800000000"
    assert (one.condition_id, one.market.up_token) == (two.condition_id, two.market.up_token)
    assert one.market.token(Outcome.UP) != one.market.token(Outcome.DOWN)
