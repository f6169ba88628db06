"""The page on several hosts: the tests, files and settings it names are there."""

import re

from models.settings import ROOT, variables
from tests.cited_tests import missing

PAGE = (ROOT / "docs" / "scale-out.md").read_text(encoding="utf-8")


def test_every_test_the_page_names_is_there() -> None:
    assert missing(PAGE) == []
    assert PAGE.count("::test_") >= 10


def test_every_file_and_setting_it_names_is_there() -> None:
    for path in re.findall(r"(?<![\w/.-])(?:deployments|tests)/[\w./-]*\w", PAGE):
        assert (ROOT / path).exists() or path.endswith("/.env"), path
    named = re.findall(r"^([A-Z_]{6,})=", PAGE, re.MULTILINE)
    assert named and set(named) <= variables().keys()
