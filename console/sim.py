"""`floor sim`: make the simulated venue fail on purpose, and see what its accounts really hold."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich.console import Console
from rich.table import Table

from models.errors import BadValue, ConfigError, NotReady
from models.settings import Settings, load_settings
from models.units import usd
from venue.wallet import signing_key

TIMEOUT_S = 5.0

console = Console()
sim_app = typer.Typer(help="Make the simulated venue fail on purpose; see its ledger.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@sim_app.command()
def fault(
    name: Annotated[str, typer.Argument(help="A name of `floor sim faults`.")],
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.001, help="End it by itself after this long.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="End it after so many requests.")
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="KEY=VALUE", help="A parameter of this fault; repeat it."),
    ] = None,
) -> None:
    """Switch a fault on, until `floor sim clear` unless it is limited."""
    body: dict[str, Any] = {"name": name, **parameters(with_ or ())}
    if seconds is not None:
        body["seconds"] = seconds
    if count is not None:
        body["count"] = count
    _tell(_ask(load_settings(), "POST", "/faults", body))


@sim_app.command()
def faults(as_json: Json = False) -> None:
    """List every fault by name, what it does, and which are on."""
    answer = _ask(load_settings(), "GET", "/faults")
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    table = Table("fault", "on", "what it does", box=None)
    for each, description in answer["known"].items():
        on = next((row for row in answer["on"] if row["name"] == each), None)
        table.add_row(each, "" if on is None else _limit(on), description)
    console.print(table)


@sim_app.command()
def clear(
    name: Annotated[str | None, typer.Argument(help="One fault; all when left out.")] = None,
) -> None:
    """Switch one fault off, or all."""
    path = "/faults" if name is None else f"/faults/{quote(name, safe='')}"
    _tell(_ask(load_settings(), "DELETE", path))


@sim_app.command()
def ledger(
    address: Annotated[
        str | None, typer.Argument(help="An owner or wallet; the floor's own when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what an account has at the simulated venue: cash, shares, orders, trades."""
    settings = load_settings()
    _simulated(settings)
    whose = address or floor_address(settings)
    answer = _ask(settings, "GET", f"/ledger/{quote(whose, safe='')}")
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    if not answer["wallets"]:
        raise BadValue(f"{whose} has no wallet at the simulator; it gets one when it first logs in")
    for wallet, held in answer["wallets"].items():
        console.print(wallet, highlight=False)
        console.print(wallet_table(held))
    open_orders = [order for order in answer["orders"] if order["open"]]
    console.print(
        f"{len(open_orders)} open of the last {len(answer['orders'])} orders, "
        f"{len(answer['trades'])} trades, {len(answer['redemptions'])} redemptions",
        highlight=False,
    )


def floor_address(settings: Settings) -> str:
    """Address of the key the floor signs with in simulated trading."""
    # Takes half a second to import; no other command needs it.
    from eth_account import Account

    return str(Account.from_key(signing_key(settings).get_secret_value()).address)


def parameters(pairs: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Read KEY=VALUE words; a value that is JSON counts as such.

    Raises
    ------
    BadValue
        A word without a key or an equals sign.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise BadValue(f"--with {pair!r} must be KEY=VALUE, for example offset=45")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def wallet_table(held: dict[str, Any]) -> Table:
    """One wallet's cash and shares, in dollars and shares."""
    table = Table("holding", "amount", box=None)
    table.add_row("cash, pUSD", str(usd(held["cash_e6"])))
    table.add_row("of it reserved", str(usd(held["reserved_e6"])))
    table.add_row("granted", str(usd(held["granted_e6"])))
    for token, size_e6 in held["shares_e6"].items():
        table.add_row(f"shares of {token[:8]}…{token[-4:]}", f"{size_e6 / 1_000_000:g}")
    return table


def _simulated(settings: Settings) -> None:
    if not settings.simulated:
        raise ConfigError("TRADING_MODE=live has no simulator; `floor sim` needs sim or paper")


def _ask(settings: Settings, method: str, path: str, body: object = None) -> Any:
    """Call one of the simulator's own doors.

    Raises
    ------
    ConfigError
        There is no simulator in this trading mode.
    NotReady
        It does not answer.
    BadValue
        It refuses what was asked for.
    """
    _simulated(settings)
    url = f"{settings.simulator_url}/admin{path}"
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.request(method, url, json=body)
            found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise NotReady(
            f"no simulator answers at {settings.simulator_url} ({error}); start it with `floor up`"
        ) from error
    if answer.status_code == 400:
        raise BadValue(str(found.get("error", found)))
    if answer.status_code != 200:
        raise NotReady(f"the simulator answered {answer.status_code}: {found}")
    return found


def _tell(answer: dict[str, Any]) -> None:
    if not answer["on"]:
        console.print("no fault is on", highlight=False)
    for row in answer["on"]:
        console.print(f"on: {row['name']} ({_limit(row)})", highlight=False)


def _limit(row: dict[str, Any]) -> str:
    """How long a fault stays on, in words."""
    words = []
    if row["seconds_left"] is not None:
        words.append(f"{row['seconds_left']:.0f} s left")
    if row["uses_left"] is not None:
        words.append(f"{row['uses_left']} times more")
    return ", ".join(words) or "until cleared"
