"""The report: whole, self-contained, harmless, and saying what its run says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.results.summary import summarise
from models.results import UNRESOLVED
from tasks.report.render import cautions, render_report
from tasks.report.tables import FIRST, GROUPS
from tasks.report.words import DEFINITIONS, FILL_MODELS, usd
from tests.engine.results.runs import made_run, market, run
from tests.tasks.report.test_markup import read

ATTACKS = (
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "</style><script>alert(1)</script>",
    "\"><svg onload='alert(1)'>",
    "javascript:alert(1)",
    "]]><!--",
    "$\\frac{1}{0}$ _nolegend_",
)


def page(result):
    html = render_report(result, summarise(result))
    return html, read(html.removeprefix("<!doctype html>\n"))


@pytest.fixture(scope="module")
def big():
    """A run of three agents over a day, its page, and what a reader sees of it."""
    result = made_run(4, agents=3, windows=96, fills_a_window=12, texts=ATTACKS)
    return result, *page(result)


def words(found):
    return "\n".join(found.words)


def test_the_page_asks_for_nothing_from_elsewhere(big):
    _, html, found = big
    for tag, attributes in found.seen:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"href", "src", "action", "data", "srcset", "xlink:href"}:
                assert value.startswith("#"), (tag, name, value)
    for sheet in html.split("<style>")[1:]:
        body = sheet.split("</style>")[0]
        assert "@import" not in body
        assert "url(" not in body.replace("url(#", "")


def test_a_policy_forbids_scripts_even_so(big):
    _, _, found = big
    policies = [
        attributes["content"]
        for tag, attributes in found.seen
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")
    assert "script-src" not in policies[0]


def test_text_of_strategies_is_shown_as_text(big):
    _, _, found = big
    shown = words(found)
    for attack in ATTACKS:
        assert attack in shown


def test_attacks_in_every_place_do_nothing():
    """Names, slugs, spec, data report and traceback: the page has the elements of a tame one."""
    made = made_run(3, agents=1, windows=3, texts=("tame",))

    def with_text(text):
        report = replace(made.data[0], source=text, counts={text: 1}, samples={text: (text,)})
        result = replace(
            made,
            agents=(text,),
            spec={"name": text, text: text, "fill_model": text, "order_latency": text},
            markets=tuple(replace(each, slug=text) for each in made.markets),
            data=(report,),
            failures={text: text},
        )
        return page(result)[1].seen

    def elements(seen):
        return [(tag, sorted(attributes)) for tag, attributes in seen]

    assert elements(with_text(" ".join(ATTACKS))) == elements(with_text("tame"))


def test_every_chart_figure_and_definition_is_there(big):
    result, _, found = big
    shown = words(found)
    for title in ("Equity", "Drawdown", "Exposure", "P&L by window", "P&L by hour",
                  "P&L by time to expiry", "Adverse selection", "Calibration"):  # fmt: skip
        assert title in shown
    labels = [attrs.get("aria-label") for tag, attrs in found.seen if tag == "svg"]
    assert len([label for label in labels if label]) == 9
    for _, rows in GROUPS:
        for label, _ in rows:
            assert label in shown
    for word, meaning in DEFINITIONS:
        assert word in shown
        assert meaning in shown
    for unit in ("USD", "time, UTC", "cents a share"):
        assert unit in shown
    for agent in result.agents:
        assert shown.count(agent) >= 3


def test_ids_are_unique_on_the_page(big):
    _, _, found = big
    ids = [attributes["id"] for _, attributes in found.seen if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_figures_are_those_of_the_summary(big):
    result, _, found = big
    summary, shown = summarise(result), words(found)
    for agent in (*summary.agents, summary.total):
        assert usd(agent.money.pnl_e6, sign=True) in shown
        assert usd(agent.money.fees_e6) in shown
        assert f"{agent.calibration.brier:.4f}" in shown


def test_long_tables_show_their_first_rows_and_say_so(big):
    result, _, found = big
    for name in ("windows", "orders"):
        total = len(result.tables[name]["agent"])
        assert total > FIRST
        assert f"The first {FIRST} of {total:,} {name}" in words(found)


def test_what_was_assumed_is_stated(big):
    result, _, found = big
    shown = words(found)
    assert FILL_MODELS["back"] in shown
    assert "50ms, always the same" in shown
    assert json.dumps(result.spec, indent=2) in shown


def test_what_reading_the_data_found_is_stated(big):
    _, _, found = big
    shown = words(found)
    for each in ("book.parquet", "5,378", "duplicate", "row 7: twice"):
        assert each in shown


def test_an_open_window_is_not_shown_as_a_result():
    made = made_run(9, agents=1, windows=12)
    windows = made.tables["windows"] | {
        "winner": np.full(len(made.tables["windows"]["winner"]), UNRESOLVED, dtype=np.uint8)
    }
    result = replace(made, tables=dict(made.tables) | {"windows": windows}, winners=())
    _, found = page(result)
    open_ones = [usd(int(pnl), sign=True) + " open" for pnl in windows["pnl_e6"]]
    shown = [word for word in found.words if word[0] in "+-0"]
    assert sorted(word for word in shown if word.endswith(" open")) == sorted(open_ones)
    assert any("never resolved" in line for line in cautions(result, summarise(result)))


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_a_run_of_few_windows_has_a_page(windows):
    html, found = page(made_run(windows, agents=2, windows=windows, fills_a_window=2))
    assert "nan" not in {word.strip().lower() for word in found.words}
    html.encode()


def test_a_run_in_which_nothing_happened_has_a_page():
    for result in (run(), run(markets=(market(0),))):
        _, found = page(replace(result, end_ns=result.start_ns))
        assert "No order was sent." in words(found)
        assert "Brier score" not in found.words[found.words.index("Figures") :][:60]


def test_an_agent_that_failed_is_named_with_its_traceback():
    made = made_run(3, agents=2)
    result = replace(made, failures={made.agents[1]: "Traceback: <boom>"})
    _, found = page(result)
    shown = words(found)
    assert "Traceback: <boom>" in shown
    assert f"{made.agents[1]} failed and was stopped" in shown


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "returns of 5.0 min: too few"),
        ({}, "traded and resolved: only 0"),
        ({"spec": {"fill_model": "front"}}, "optimistic"),
    ],
)
def test_what_weakens_a_run_is_said(parts, said):
    result = run(**parts)
    assert any(said in line for line in cautions(result, summarise(result)))


def test_a_long_run_of_many_windows_needs_no_caution():
    made = made_run(2, agents=1, windows=7 * 96 + 1, fills_a_window=2)
    settled = np.array(made.winners)
    settled[settled == UNRESOLVED] = 0
    windows = made.tables["windows"]
    known = windows | {"winner": np.where(windows["winner"] == UNRESOLVED, 0, windows["winner"])}
    result = replace(
        made, winners=tuple(settled.tolist()), tables=dict(made.tables) | {"windows": known}
    )
    assert cautions(result, summarise(result)) == []


def test_a_page_of_a_long_run_stays_small():
    """A million notes of equity are drawn as what a screen can show of them."""
    count = 1_000_000
    rng = np.random.default_rng(1)
    made = made_run(4, agents=1, windows=4)
    equity = {
        "time_ns": np.linspace(made.start_ns, made.end_ns, count).astype(np.int64),
        "agent": np.zeros(count, dtype=np.uint16),
        "cash_e6": np.zeros(count, dtype=np.int64),
        "equity_e6": 10**9 + rng.integers(-1_000, 1_000, count).cumsum(),
        "exposure_e6": np.abs(rng.integers(-1_000, 1_000, count).cumsum()),
    }
    result = replace(made, tables=dict(made.tables) | {"equity": equity})
    assert len(page(result)[0]) < 600_000
