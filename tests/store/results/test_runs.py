"""Saved runs come back equal, appear whole or not at all, and never replace one by accident."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.results.summary import summarise
from models.errors import BadValue, ConfigError
from models.results import TABLES, RunResult
from models.tape import Report
from store.results import runs as kept
from store.results.runs import load_run, load_summary, save_run
from store.results.tables import read_table, write_table
from tests.engine.results.runs import TEXT, made_run, run, runs, tables


def same_tables(here, there):
    assert here.keys() == there.keys()
    for name, columns in here.items():
        assert columns.keys() == there[name].keys()
        for column, values in columns.items():
            other = there[name][column]
            assert values.dtype.kind == other.dtype.kind, (name, column)
            if values.dtype.kind != "U":
                assert values.dtype == other.dtype, (name, column)
            exact = values.dtype.kind != "f"
            assert np.array_equal(values, other, equal_nan=not exact), (name, column)


def same(here: RunResult, there: RunResult):
    same_tables(here.tables, there.tables)
    for field in RunResult.__dataclass_fields__:
        if field != "tables":
            assert getattr(here, field) == getattr(there, field), field


@pytest.fixture
def saved(tmp_path):
    """A saved run: its folder, the run and its summary."""
    result = made_run(5, texts=("one", "zwei €", ""))
    summary = summarise(result)
    return save_run(tmp_path / "mine", result, summary, "<!doctype html>"), result, summary


REPORTS = st.lists(
    st.builds(
        Report, TEXT, st.integers(0, 10**9), st.dictionaries(TEXT, st.integers(0, 99), max_size=3),
        st.dictionaries(TEXT, st.lists(TEXT, max_size=2).map(tuple), max_size=2),
    ),
    max_size=2,
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=25)
@given(runs(max_windows=3), REPORTS, st.dictionaries(st.text(max_size=9), JSON, max_size=4), TEXT)
def test_a_saved_run_comes_back_equal(result, data, spec, trace):
    result = replace(result, data=tuple(data), spec=spec, failures={result.agents[0]: trace})
    summary = summarise(result)
    with tempfile.TemporaryDirectory() as home:
        back = load_run(save_run(Path(home) / "run", result, summary))
    same(back.result, result)
    assert back.summary == summary
    assert back.report is None
    assert summarise(back.result) == summary


@settings(max_examples=20)
@given(st.data())
def test_a_table_comes_back_equal_whatever_is_in_it(data):
    """Every value a column can hold, its extremes among them."""
    count = data.draw(st.integers(0, 4))

    def values(dtype):
        kind = np.dtype(dtype)
        if kind.kind == "U":
            return TEXT
        if kind.kind == "b":
            return st.booleans()
        if kind.kind == "f":
            return st.floats()
        info = np.iinfo(kind)
        return st.integers(int(info.min), int(info.max)) | st.sampled_from([info.min, info.max])

    for name in TABLES:
        columns = {
            column: np.array(
                data.draw(st.lists(values(dtype), min_size=count, max_size=count)), dtype=dtype
            )
            for column, dtype in TABLES[name].items()
        }
        with tempfile.TemporaryDirectory() as home:
            path = Path(home) / "table.parquet"
            write_table(path, columns)
            same_tables({name: columns}, {name: read_table(path, name)})


def test_optional_columns_are_kept(tmp_path):
    made = tables()
    made["forecasts"]["mid_e4"] = np.empty(0, dtype=np.int32)
    result = run(tables=made)
    back = load_run(save_run(tmp_path / "run", result, summarise(result))).result
    assert back.tables["forecasts"]["mid_e4"].dtype == np.int32


def test_text_no_file_can_hold_keeps_its_run(tmp_path):
    """Half a character in a strategy's reason costs that character, not the run."""
    result = made_run(5, texts=("broken \ud800 half",))
    result = replace(result, failures={result.agents[0]: "trace \ud800"})
    summary = summarise(result)
    saved_run = load_run(save_run(tmp_path / "run", result, summary, "page \ud800"))
    back = saved_run.result
    assert saved_run.summary == summary
    assert saved_run.report.read_text() == "page \\ud800"
    assert set(back.tables["orders"]["reason"]) == {"broken \\ud800 half"}
    assert back.failures == result.failures


# --- not over another ------------------------------------------------------------------------


def test_a_saved_run_is_not_replaced_silently(saved):
    folder, result, summary = saved
    with pytest.raises(BadValue, match="mine exists; choose another name"):
        save_run(folder, made_run(6), summary)
    same(load_run(folder).result, result)


def test_it_is_replaced_when_that_is_said(saved):
    folder, _, _ = saved
    other = made_run(6)
    save_run(folder, other, summarise(other), overwrite=True)
    same(load_run(folder).result, other)
    assert load_run(folder).report is None
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_what_is_no_saved_run_is_never_replaced(tmp_path, what):
    place = tmp_path / "mine"
    if what == "folder":
        place.mkdir()
        (place / "precious.txt").write_text("keep")
    elif what == "file":
        place.write_text("keep")
    else:
        place.symlink_to(tmp_path / "nowhere")
    result = run()
    with pytest.raises(BadValue, match="no saved run"):
        save_run(place, result, summarise(result), overwrite=True)
    assert place.is_symlink() or place.is_file() or (place / "precious.txt").read_text() == "keep"


def test_a_folder_made_by_somebody_else_meanwhile_is_kept(tmp_path, monkeypatch):
    """Between the first look and the last rename another program saves its run there."""
    place = tmp_path / "mine"
    other, result = made_run(6), run()
    check = kept._refuse

    def late(folder, overwrite):
        check(folder, overwrite)
        monkeypatch.undo()
        save_run(folder, other, summarise(other))

    monkeypatch.setattr(kept, "_refuse", late)
    with pytest.raises(BadValue, match="choose another name"):
        save_run(place, result, summarise(result))
    same(load_run(place).result, other)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


# --- whole or not at all ---------------------------------------------------------------------


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def full(path, columns):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        write_table(path, columns)

    monkeypatch.setattr(kept, "write_table", full)
    result = run()
    with pytest.raises(OSError, match="No space left"):
        save_run(tmp_path / "mine", result, summarise(result))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_replacing_keeps_the_old_run(saved, monkeypatch):
    folder, result, summary = saved
    rename = Path.rename

    def fails(path, target):
        if Path(target) == folder and path.name != "run":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output"):
        save_run(folder, made_run(6), summary, overwrite=True)
    same(load_run(folder).result, result)
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("spec", [{"when": object()}, {"edge": float("nan")}])
def test_a_spec_that_is_no_json_is_refused_before_anything_is_written(tmp_path, spec):
    result = run(spec=spec)
    with pytest.raises(BadValue, match="its spec can't be written as JSON"):
        save_run(tmp_path / "mine", result, summarise(result))
    assert list(tmp_path.iterdir()) == []


# --- spoilt ----------------------------------------------------------------------------------


def test_the_summary_can_be_read_alone(saved):
    folder, _, summary = saved
    assert load_summary(folder) == summary
    assert load_run(folder).report == folder / "report.html"


def test_every_missing_file_is_named(saved):
    folder, _, _ = saved
    for name in ("run.json", "summary.json", *(f"{table}.parquet" for table in TABLES)):
        aside = shutil.move(folder / name, folder / "aside")
        with pytest.raises(ConfigError, match=f"{name}: missing"):
            load_run(folder)
        shutil.move(aside, folder / name)
    load_run(folder)


def test_every_cut_off_file_is_named(saved):
    folder, _, _ = saved
    for name in ("run.json", "summary.json", *(f"{table}.parquet" for table in TABLES)):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ConfigError, match=f"{name}: "):
            load_run(folder)
        path.write_bytes(whole)


def test_other_versions_are_refused(saved):
    folder, _, _ = saved
    for name in ("run.json", "summary.json"):
        path = folder / name
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"version": 99}))
        with pytest.raises(ConfigError, match=f"{name}: version 99, this program reads 1"):
            load_run(folder)
        path.write_text(json.dumps(document))


@pytest.mark.parametrize("spoil", [[], {}, {"version": 1}, {"version": 1, "rows": {"fills": 1}}])
def test_json_that_is_no_run_is_refused(saved, spoil):
    folder, _, _ = saved
    (folder / "run.json").write_text(json.dumps(spoil))
    with pytest.raises(ConfigError, match="run"):
        load_run(folder)


def test_rows_that_were_lost_are_noticed(saved):
    folder, _, _ = saved
    table = pq.read_table(folder / "fills.parquet")
    pq.write_table(table.slice(1), folder / "fills.parquet")
    with pytest.raises(ConfigError, match="were saved"):
        load_run(folder)


def test_columns_that_are_missing_or_of_another_kind_are_named(saved):
    folder, _, _ = saved
    path = folder / "fills.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["fee_e6"]), path)
    with pytest.raises(ConfigError, match="column fee_e6 is missing"):
        load_run(folder)
    floats = pa.array(np.zeros(table.num_rows), type=pa.float64())
    at = table.column_names.index("fee_e6")
    pq.write_table(table.set_column(at, "fee_e6", floats), path)
    with pytest.raises(ConfigError, match="column fee_e6 is float64, expected int64"):
        load_run(folder)
