"""The page about supervision: every hazard and fault has its test, and every test is there."""

import re

from models.settings import ROOT
from tasks.drilling.catalogue import DRILLS
from tests.cited_tests import missing

PAGE = (ROOT / "docs" / "supervision.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_test_the_page_names_is_there() -> None:
    assert missing(PAGE) == []


def test_every_hazard_has_a_defence_and_a_test() -> None:
    hazards = rows("Prefect's nineteen hazards")
    assert [int(number) for number, *_ in hazards] == list(range(1, 20))
    assert all(defence and "::test_" in tests for _, _, defence, tests in hazards)


def test_every_fault_has_a_test_and_every_drill_is_one_there_is() -> None:
    faults = rows("What breaks, and what happens")
    assert all("::test_" in fault[-1] for fault in faults)
    named = {name for fault in faults for name in re.findall(r"`([\w-]+)`", fault[3])}
    assert named <= set(DRILLS)
