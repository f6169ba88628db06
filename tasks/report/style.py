"""Colours and style sheet of the report, for light and dark.

Charts are drawn in stand-in colours, which then become these style sheet variables: one drawing
serves both. The series' colours follow Okabe and Ito ("Color universal design", 2008), told apart
by people with any colour vision, and lightened for dark; dashes tell the series apart as well.
"""

from typing import Final

INK, MUTED, GRID, PANEL = "#000001", "#000002", "#000003", "#000004"
SERIES: Final = ("#0000a0", "#0000a1", "#0000a2", "#0000a3", "#0000a4", "#0000a5")
DASHES: Final[tuple[tuple[float, ...], ...]] = ((), (6, 2), (2, 2), (8, 2, 2, 2))

VARIABLES: Final = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", PANEL: "--panel",
    **{colour: f"--s{number}" for number, colour in enumerate(SERIES)},
}  # fmt: skip

_LIGHT = """
--page:#f6f7f9; --panel:#ffffff; --ink:#1b2330; --muted:#5a6475; --grid:#e3e7ee; --line:#d5dae3;
--good:#00704f; --bad:#b3400a; --warn-page:#fff4dd; --warn-line:#d9a300;
--s0:#0072b2; --s1:#c2570a; --s2:#00805c; --s3:#a8447f; --s4:#8a6d00; --s5:#2f8fc4;
"""
_DARK = """
--page:#12161d; --panel:#1a2029; --ink:#e6eaf1; --muted:#9ba6b7; --grid:#2b3340; --line:#343d4b;
--good:#3ecf9f; --bad:#ff9057; --warn-page:#33290f; --warn-line:#b98a00;
--s0:#56b4e9; --s1:#f0914a; --s2:#35c79a; --s3:#e59ac4; --s4:#f0e442; --s5:#9fd0ff;
"""

CSS = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ {_LIGHT} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }}
main {{ max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }}
h1 {{ font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }}
h2 {{ font-size: 19px; margin: 40px 0 12px; }}
h3 {{ font-size: 15px; margin: 0 0 2px; }}
p {{ margin: 4px 0 12px; max-width: 75ch; }}
.sub, .note, caption {{ color: var(--muted); }}
.note {{ font-size: 13px; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 20px 0; }}
.tile, figure, .card {{ background: var(--panel); border: 1px solid var(--line);
  border-radius: 10px; }}
.tile {{ padding: 12px 14px; }}
.tile .name {{ color: var(--muted); font-size: 13px; }}
.tile .value {{ font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }}
.tile .more {{ color: var(--muted); font-size: 12px; }}
.good {{ color: var(--good); }} .bad {{ color: var(--bad); }}
.warn {{ background: var(--warn-page); border: 1px solid var(--warn-line); border-radius: 10px;
  padding: 10px 16px; margin: 16px 0; }}
.warn ul {{ margin: 4px 0; padding-left: 20px; }}
.charts {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; }}
figure {{ margin: 0; padding: 14px 14px 8px; }}
figure.wide {{ grid-column: 1 / -1; }}
figcaption {{ margin-bottom: 6px; }}
figure svg {{ display: block; width: 100%; height: auto; }}
figure svg text {{ font-family: inherit !important; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 6px 18px; margin: 8px 0 14px; }}
.legend span {{ display: inline-flex; align-items: center; gap: 7px; }}
.scroll {{ overflow-x: auto; border: 1px solid var(--line); border-radius: 10px;
  background: var(--panel); margin: 0 0 10px; }}
.tall {{ max-height: 560px; overflow-y: auto; }}
@media print {{ .tall {{ max-height: none; }} }}
table {{ border-collapse: collapse; width: 100%; font-size: 13.5px; }}
caption {{ text-align: left; padding: 8px 12px; }}
th, td {{ padding: 5px 12px; text-align: left; vertical-align: top; white-space: nowrap;
  border-top: 1px solid var(--grid); }}
thead th {{ border-top: 0; color: var(--muted); font-weight: 600; position: sticky; top: 0;
  background: var(--panel); }}
tbody th {{ font-weight: 500; }}
td.long {{ white-space: pre-wrap; overflow-wrap: anywhere; min-width: 22ch; max-width: 60ch; }}
.num {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr.group th {{ color: var(--muted); font-size: 12px; text-transform: uppercase;
  letter-spacing: .04em; padding-top: 12px; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; margin: 0;
  padding: 14px 16px; }}
dt {{ color: var(--muted); }} dd {{ margin: 0; overflow-wrap: anywhere; }}
details {{ margin: 12px 0; }} summary {{ cursor: pointer; color: var(--muted); }}
pre {{ background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 12px;
  overflow: auto; max-height: 420px; font-size: 12.5px; }}
@media (max-width: 760px) {{ .charts {{ grid-template-columns: 1fr; }}
  figure.wide {{ overflow-x: auto; }} figure.wide svg {{ min-width: 640px; }}
  dl {{ grid-template-columns: 1fr; gap: 0; }} dd {{ margin-bottom: 8px; }} }}
"""
