"""Delays as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue, ConfigError
from models.settings import load_settings
from models.travel import LONGEST_NS, MOST_SIGMA, Travel

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "travel"),
    [
        ("0", Travel()),
        (" constant:50ms ", Travel(50 * MS)),
        ("Constant:1.5s", Travel(1500 * MS)),
        ("constant:0ms", Travel()),
        ("sampled:40ms:0.5", Travel(40 * MS, 0.5)),
        ("sampled:250us:2", Travel(250_000, 2.0)),
    ],
)
def test_what_people_write_is_read(text, travel, monkeypatch):
    assert Travel.parse(text) == travel
    monkeypatch.setenv("FEED_LATENCY", text)
    monkeypatch.setenv("ORDER_LATENCY", text)
    settings = load_settings()
    assert settings.feed_latency == settings.order_latency == travel


@pytest.mark.parametrize(
    "text",
    ["", "50ms", "50", "constant", "constant:50", "constant:-5ms", "constant:61s", "constant:١s",
     "sampled:40ms", "sampled:40ms:x", "sampled:40ms:-1", "sampled:40ms:6", "sampled:0ms:0.5",
     "sampled:40ms:nan", "sampled:40ms:0.5:1", "uniform:1ms:2ms", "constant:1e3ms", "0:0"],
)  # fmt: skip
def test_anything_else_is_one_clear_error(text, monkeypatch):
    with pytest.raises(BadValue):
        Travel.parse(text)
    monkeypatch.setenv("ORDER_LATENCY", text or " ")
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"ORDER_LATENCY={text or ' '!r}: ")
    assert any(word in str(refused.value) for word in ("; write ", ": write ", "a spread of"))


@pytest.mark.parametrize("value", [True, 1.5, None, ["0"], 50])
def test_values_that_are_no_text_are_refused(value):
    with pytest.raises(ConfigError, match="FEED_LATENCY"):
        load_settings(feed_latency=value)


@given(
    st.integers(1, LONGEST_NS // 1000).map(lambda us: us * 1000),
    st.floats(0, MOST_SIGMA).map(lambda s: round(s, 9)),
)
def test_what_is_shown_is_read_back(median_ns, sigma):
    travel = Travel(median_ns, sigma)
    assert Travel.parse(str(travel)) == travel
    assert Travel.parse(str(Travel())) == Travel()
