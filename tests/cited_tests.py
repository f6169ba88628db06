"""Pages that name tests as `path::name`: what they say is tested, is."""

import ast
import re
from functools import cache

from models.settings import ROOT

_CITED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def cited(page: str) -> dict[str, set[str]]:
    """Return the names of tests a page's text cites, by file (relative to tests/)."""
    found: dict[str, set[str]] = {}
    for path, name in _CITED.findall(page):
        found.setdefault(path, set()).add(name)
    return found


@cache
def functions(path: str) -> dict[str, set[str]]:
    """Return the test functions of a file, with the strings in their decorators' calls."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
            words = {a.value for c in calls for a in c.args if isinstance(a, ast.Constant)}
            found[node.name] = {word for word in words if isinstance(word, str)}
    return found


def missing(page: str) -> list[str]:
    """Return the citations of a page that name no test there is."""
    return [
        f"{path}::{name}"
        for path, names in sorted(cited(page).items())
        for name in sorted(names)
        if not (ROOT / "tests" / path).is_file() or name not in functions(path)
    ]
