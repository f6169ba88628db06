"""HTML built so that text can't become markup: whatever is not `Markup` is escaped."""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"meta", "br"})


class Markup(str):
    """Text that is HTML already. Only this module and the chart drawer make it."""

    __slots__ = ()


Child = str | Markup | Iterable["Child"] | None


def text(value: str) -> Markup:
    """Escape `value` for element content and quoted attributes.

    Control characters, which HTML forbids and browsers interpret, and lone surrogates, which no
    file can hold, become visible escapes.
    """
    clean = "".join(each if _printable(each) else f"\\u{ord(each):04x}" for each in value)
    return Markup(escape(clean, quote=True))


def _printable(character: str) -> bool:
    code = ord(character)
    control = code < 32 and character not in "\t\n"
    # Marks that turn the direction of writing could show a table's cells in another order.
    turning = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    return not (control or 127 <= code < 160 or 0xD800 <= code < 0xE000 or turning)


def join(children: Child) -> Markup:
    """Put children one after the other; None is nothing."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return text(children)
    return Markup("".join(join(child) for child in children))


def el(tag: str, *children: Child, **attributes: str | None) -> Markup:
    """Make an element. ``class_`` is ``class``, ``aria_label`` is ``aria-label``."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{join(children)}</{tag}>")


def table(
    head: Iterable[str],
    rows: Iterable[Iterable[Child]],
    numeric: Iterable[int] = (),
    caption: str | None = None,
    long: Iterable[int] = (),
    tall: bool = False,
) -> Markup:
    """Make a table that scrolls sideways where it must.

    Parameters
    ----------
    numeric
        Columns set flush right in figures of one width.
    long
        Columns of running text, which may wrap.
    tall
        Keep many rows in a frame that scrolls.
    """
    kinds = dict.fromkeys(numeric, "num") | dict.fromkeys(long, "long")

    def cell(tag: str, at: int, child: Child) -> Markup:
        scope = "row" if tag == "th" else None
        return el(tag, child, class_=kinds.get(at), scope=scope)

    header = el(
        "tr",
        [el("th", name, scope="col", class_=kinds.get(at)) for at, name in enumerate(head)],
    )
    body = [
        el("tr", [cell("th" if at == 0 else "td", at, child) for at, child in enumerate(row)])
        for row in rows
    ]
    return el(
        "div",
        el(
            "table",
            el("caption", caption) if caption else None,
            el("thead", header),
            el("tbody", body),
        ),
        class_="scroll tall" if tall else "scroll",
        tabindex="0",
    )
