"""Coming back: everything clients own is put back where it was before the process died."""

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
import structlog

from venue.simulator.bank import CASH
from venue.simulator.records import WindowRecord
from venue.simulator.windows import Window

if TYPE_CHECKING:
    from venue.simulator.world import World

log = structlog.get_logger(__name__)


def restore(world: "World") -> None:
    """Load the journal into a world that has not started yet.

    Windows come first, then wallets with cash and shares, then open orders in their old sequence
    (so that clients keep their order among themselves; the provider's depth comes after them).
    Windows that ended meanwhile are resolved and paid when the schedule starts.
    """
    now = world.now()
    journal = world.journal
    for key, generation, live in journal.read_keys():
        world.keyring.load(key, generation, live)
    hearts = journal.read_meta("hearts")
    if hearts is not None:
        world.hearts.restore(msgspec.json.decode(hearts, type=dict[str, str]), now)
    unresolved = []
    for record in sorted(journal.read_windows(), key=lambda r: r.market.start_ns):
        window = restored(record)
        world.registry.add(window)
        if window.closed:
            continue
        unresolved.append(window)
        world.reopen(window, now)
    held: dict[str, dict[str, int]] = defaultdict(dict)
    for wallet, token, amount_e6 in journal.read_balances():
        held[wallet][token] = amount_e6
    for wallet, owner, granted_e6 in journal.read_wallets():
        world.bank.restore(wallet, owner, granted_e6, held[wallet].get(CASH, 0))
        for token, amount_e6 in held[wallet].items():
            if token and amount_e6 and _tradable(world, token):
                world.exchange.deposit_shares(wallet, token, amount_e6)
    for order in journal.read_open_orders():
        world.desk.restore_order(order)
        world.reenter(order, now)
    trades = journal.read_trades()
    for trade in trades:
        world.desk.restore_trade(trade)
        world.rebates.note(trade)
        known = world.registry.by_condition.get(trade.condition_id)
        if known is not None:
            world.clerk.note_rows(known, trade)
    world.rebates.restore(journal.read_rebates())
    world.desk.redemptions.extend(journal.read_redemptions())
    for trade in world.desk.unsettled():
        world.settlements.plan(trade)
    for window in unresolved:
        world.life.resume(window, now)
    if trades or held:
        log.info(
            "simulator_restored", wallets=len(held), trades=len(trades),
            open_orders=world.desk.open_count(), windows=len(unresolved),
        )  # fmt: skip


def restored(record: WindowRecord) -> Window:
    """A window as it was when it was last written down."""
    return Window(
        market=record.market,
        number=record.number,
        question_id=record.question_id,
        listed_ns=record.listed_ns,
        opening_e8=record.opening_e8,
        closing_e8=record.closing_e8,
        winner=record.winner,
        resolved_ns=record.resolved_ns,
        volume_e6=record.volume_e6,
    )


def _tradable(world: "World", token: str) -> bool:
    window = world.registry.by_token.get(token)
    return window is not None and not window.closed
