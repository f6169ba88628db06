"""The page about the exchange: what it says is tested, is."""

import re

from engine.matching.types import FeeRounding, SelfTrade
from models.fills import FillModel
from models.settings import ROOT
from tests.cited_tests import cited, functions, missing
from venue.simulator.faults import NAMES

PAGE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
BY_NAME = "venue/faults/test_faults_by_name.py"
FAULTS = re.findall(r"^\| `([a-z0-9-]+)` \| `(test_\w+)` \|$", PAGE, flags=re.MULTILINE)


def test_every_test_the_page_names_is_there() -> None:
    assert cited(PAGE)
    assert missing(PAGE) == []


def test_every_rule_has_a_test_beside_it() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| ")]
    tables = [row for row in rows if "::test_" in row]
    assert len(tables) > 55
    section = PAGE.split("## Rules of the exchange")[1].split("## Fill models")[0]
    rules = [row for row in section.splitlines() if row.startswith("| ")][1:]
    assert all("::test_" in row for row in rules)


def test_every_fault_is_played_by_the_test_the_page_names() -> None:
    assert [name for name, _ in FAULTS] == list(NAMES)
    for name, test in FAULTS:
        assert name in functions(BY_NAME)[test]


def test_every_fill_model_and_open_rule_is_on_the_page() -> None:
    for model in FillModel:
        assert f"| `{model.value}` |" in PAGE
    assert len(SelfTrade) == 3
    assert FeeRounding(0).name.lower().replace("_", " ") in PAGE
