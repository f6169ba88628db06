"""Drawings: the page's colours, ids of their own, and curves that keep their shape."""

import re

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.drawing import draw, series_style, thin
from tasks.report.style import CSS, DASHES, SERIES, VARIABLES
from tests.tasks.report.test_markup import read


def line(axes):
    axes.plot([0, 1, 2], [0, 5, 3], "o-", **series_style(1))
    axes.set_xlabel("_$x$ <script> & time")


def test_a_drawing_is_one_svg_of_the_pages_colours():
    svg = draw(line, "one", 'a "quoted" label')
    found = read(svg)
    assert found.seen[0][0] == "svg"
    assert found.seen[0][1]["aria-label"] == 'a "quoted" label'
    assert "_$x$ <script> & time" in "".join(found.words)
    assert "script" not in {tag for tag, _ in found.seen}
    for colour in VARIABLES:
        assert colour not in svg
    assert "var(--s1)" in svg
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", svg)


def test_colours_used_are_defined_for_light_and_dark():
    for variable in VARIABLES.values():
        assert CSS.count(f"{variable}:") == 3, variable  # light, dark, print


def test_the_same_drawing_is_the_same_text():
    assert draw(line, "one", "x") == draw(line, "one", "x")


def test_ids_of_two_drawings_differ_and_every_reference_is_met():
    ids = []
    for name in ("one", "two"):
        svg = draw(line, name, "x")
        own = re.findall(r'\bid="([^"]*)"', svg)
        used = re.findall(r'(?:url\(#|href="#)([^")]*)', svg)
        assert used
        assert set(used) <= set(own)
        ids.append(set(own))
    assert not ids[0] & ids[1]


def test_matplotlibs_settings_are_as_they_were():
    before = dict(mpl.rcParams)
    draw(line, "one", "x")
    assert dict(mpl.rcParams) == before


def test_a_drawing_that_fails_leaves_the_next_one_alone():
    def fails(axes):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        draw(fails, "one", "x")
    assert draw(line, "one", "x").startswith("<svg")


def test_series_differ_by_colour_and_then_by_dashes():
    styles = [str(series_style(number)) for number in range(len(SERIES) * len(DASHES))]
    assert len(set(styles)) == len(styles)


@given(st.integers(0, 5_000), st.integers(0, 2**16), st.integers(40, 400))
def test_a_thinned_curve_keeps_its_ends_and_extremes(count, seed, most):
    values = np.random.default_rng(seed).integers(-1_000, 1_000, count)
    rows = thin(np.arange(count), values, most)
    assert len(rows) <= max(most, 4)
    assert np.all(np.diff(rows) > 0)
    if count:
        assert (rows[0], rows[-1]) == (0, count - 1)
        assert values[rows].max() == values.max()
        assert values[rows].min() == values.min()
