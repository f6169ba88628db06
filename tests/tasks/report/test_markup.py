"""HTML from text: nothing that a text says becomes markup."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tasks.report.markup import VOID, Markup, el, join, table, text


class Reader(HTMLParser):
    """Collects what a browser would see: elements with attributes, and text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.seen, self.words, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


PLAIN = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"],
        exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    )
)


@given(PLAIN, PLAIN)
def test_text_and_attributes_come_out_as_they_went_in(words, label):
    found = read(el("p", words, title=label))
    assert found.seen == [("p", {"title": label})]
    assert "".join(found.words) == words


@given(st.text())
def test_no_text_makes_an_element(words):
    found = read(el("td", words, title=words))
    assert [tag for tag, _ in found.seen] == ["td"]
    assert set(found.seen[0][1]) == {"title"}


def test_what_no_page_may_hold_becomes_visible():
    assert text("a\x00b\x1b[31m\x85\ud800") == "a\\u0000b\\u001b[31m\\u0085\\ud800"
    assert text("abc\u202edcba") == "abc\\u202edcba"
    assert text("two\n\tlines") == "two\n\tlines"


def test_markup_inside_stays_markup():
    inner = el("b", "<i>")
    assert join(["x & y", inner, None]) == "x &amp; y<b>&lt;i&gt;</b>"
    assert isinstance(join("x"), Markup)


def test_names_of_attributes_follow_python():
    assert el("th", class_="num", aria_label="a", scope=None) == (
        '<th class="num" aria-label="a"></th>'
    )


def test_a_table_has_heads_rows_and_kinds():
    found = read(table(("a", "b"), [["<x>", "1"], ["y", "2"]], numeric=(1,), caption="c"))
    tags = [tag for tag, _ in found.seen]
    assert tags.count("tr") == 3
    assert [attrs.get("class") for tag, attrs in found.seen if tag == "td"] == ["num", "num"]
    assert [attrs.get("scope") for tag, attrs in found.seen if tag == "th"] == [
        "col", "col", "row", "row",
    ]  # fmt: skip
