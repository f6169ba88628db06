"""The simulator's disk: what the venue owes its clients, in one SQLite file.

Rows are collected in memory and written in one transaction by `commit`, which the server calls
before it answers. The write-ahead log survives the death of the process at any moment; a thread
folds it into the database (`venue.simulator.checkpoints`).
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from models.errors import ConfigError
from venue.simulator.auth import ApiKey
from venue.simulator.checkpoints import Checkpoints
from venue.simulator.records import OrderRecord, Rebate, Redemption, TradeRecord, WindowRecord
from venue.simulator.seen import Seen

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (
    address TEXT NOT NULL, nonce INTEGER NOT NULL, generation INTEGER NOT NULL,
    live INTEGER NOT NULL, key TEXT NOT NULL, secret TEXT NOT NULL, passphrase TEXT NOT NULL,
    PRIMARY KEY (address, nonce)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wallets (
    wallet TEXT PRIMARY KEY, owner TEXT NOT NULL, granted_e6 INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS balances (
    wallet TEXT NOT NULL, token TEXT NOT NULL, amount_e6 INTEGER NOT NULL,
    PRIMARY KEY (wallet, token)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, owner TEXT NOT NULL, open INTEGER NOT NULL,
    at_ns INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_open ON orders (seq) WHERE open=1;
CREATE TABLE IF NOT EXISTS trades (
    trade_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS windows (slug TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS redemptions (
    wallet TEXT NOT NULL, token TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (wallet, token)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rebates (
    wallet TEXT NOT NULL, condition_id TEXT NOT NULL, day TEXT NOT NULL, at_ns INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (wallet, condition_id, day, at_ns)) WITHOUT ROWID;
"""
PAGE_BYTES = 1024

_pack = msgspec.msgpack.encode


class Journal:
    """Durable memory; `path` None keeps it in RAM (tests)."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            # Ids are random, so every order touches a page of its own: small ones write less.
            self._db.execute(f"PRAGMA page_size={PAGE_BYTES}")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise ConfigError(
                    f"{path} was written by version {found} of the simulator, this is version "
                    f"{VERSION}; move the file away to start with empty accounts"
                )
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA user_version={VERSION}")
            self._db.execute("PRAGMA wal_autocheckpoint=0")
            rows = self._db.execute("SELECT order_id FROM orders")
            self._seen = Seen(row[0] for row in rows)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{path} can't be opened as the simulator's database ({error}); move it away to "
                "start with empty accounts"
            ) from error
        self._checkpoints = Checkpoints(path) if path is not None else None
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._orders: dict[str, OrderRecord] = {}
        self._trades: dict[str, TradeRecord] = {}

    # --- writing ------------------------------------------------------------------------------

    def key(self, key: ApiKey, generation: int, live: bool) -> None:
        self._add(
            "INSERT OR REPLACE INTO keys VALUES (?,?,?,?,?,?,?)",
            (key.address, key.nonce, generation, live, key.key, key.secret, key.passphrase),
        )

    def wallet(self, wallet: str, owner: str, granted_e6: int) -> None:
        self._add("INSERT OR IGNORE INTO wallets VALUES (?,?,?)", (wallet, owner, granted_e6))

    def balance(self, wallet: str, token: str, amount_e6: int) -> None:
        """Shares of a token, or cash when `token` is empty."""
        self._add("INSERT OR REPLACE INTO balances VALUES (?,?,?)", (wallet, token, amount_e6))

    def order(self, order: OrderRecord) -> None:
        """Write an order as it is when `commit` is called."""
        self._orders[order.order_id] = order

    def trade(self, trade: TradeRecord) -> None:
        """Write a trade as it is when `commit` is called."""
        self._trades[trade.trade_id] = trade

    def window(self, window: WindowRecord) -> None:
        self._add(
            "INSERT OR REPLACE INTO windows VALUES (?,?)", (window.market.slug, _pack(window))
        )

    def redemption(self, redemption: Redemption) -> None:
        self._add(
            "INSERT OR REPLACE INTO redemptions VALUES (?,?,?)",
            (redemption.wallet, redemption.token_id, _pack(redemption)),
        )

    def rebate(self, rebate: Rebate) -> None:
        self._add(
            "INSERT INTO rebates VALUES (?,?,?,?,?)",
            (rebate.wallet, rebate.condition_id, rebate.day, rebate.at_ns, _pack(rebate)),
        )

    def meta(self, name: str, value: bytes) -> None:
        self._add("INSERT OR REPLACE INTO meta VALUES (?,?)", (name, value))

    def forget(self, before_ns: int) -> None:
        """Drop closed orders created before `before_ns`."""
        self._add("DELETE FROM orders WHERE open=0 AND at_ns<?", (before_ns,))

    def forget_window(self, slug: str) -> None:
        self._add("DELETE FROM windows WHERE slug=?", (slug,))

    def commit(self) -> None:
        """Write everything pending, all or nothing; what can't be written stays pending."""
        self._write_records()
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for statement, rows in groupby(pending, key=itemgetter(0)):
                self._db.executemany(statement, [values for _, values in rows])
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._pending = pending + self._pending
            raise
        if self._checkpoints is not None:
            self._checkpoints.note(len(pending))

    def _write_records(self) -> None:
        for o in self._orders.values():
            self._seen.add(o.order_id)
            row = (o.order_id, o.seq, o.owner, o.open, o.created_ns, _pack(o))
            self._add("INSERT OR REPLACE INTO orders VALUES (?,?,?,?,?,?)", row)
        for t in self._trades.values():
            self._add("INSERT OR REPLACE INTO trades VALUES (?,?,?)", (t.trade_id, t.seq, _pack(t)))
        self._orders.clear()
        self._trades.clear()

    def _add(self, statement: str, values: tuple[Any, ...]) -> None:
        self._pending.append((statement, values))

    # --- reading ------------------------------------------------------------------------------

    def read_meta(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def read_keys(self) -> Iterator[tuple[ApiKey, int, bool]]:
        rows = self._db.execute(
            "SELECT key, secret, passphrase, address, nonce, generation, live FROM keys"
        )
        for key, secret, passphrase, address, nonce, generation, live in rows:
            yield ApiKey(key, secret, passphrase, address, nonce), generation, bool(live)

    def read_wallets(self) -> Iterator[tuple[str, str, int]]:
        yield from self._db.execute("SELECT wallet, owner, granted_e6 FROM wallets")

    def read_balances(self) -> Iterator[tuple[str, str, int]]:
        yield from self._db.execute("SELECT wallet, token, amount_e6 FROM balances")

    def read_open_orders(self) -> list[OrderRecord]:
        rows = self._db.execute("SELECT body FROM orders WHERE open=1 ORDER BY seq")
        return [msgspec.msgpack.decode(row[0], type=OrderRecord) for row in rows]

    def read_orders(self, owner: str, limit: int) -> list[OrderRecord]:
        """The owner's newest orders, open or not, newest first."""
        rows = self._db.execute(
            "SELECT body FROM orders WHERE owner=? ORDER BY seq DESC LIMIT ?", (owner, limit)
        )
        return [msgspec.msgpack.decode(row[0], type=OrderRecord) for row in rows]

    def read_order(self, order_id: str) -> OrderRecord | None:
        pending = self._orders.get(order_id)
        if pending is not None:
            return pending
        if not self._seen.perhaps(order_id):
            return None
        row = self._db.execute("SELECT body FROM orders WHERE order_id=?", (order_id,)).fetchone()
        return msgspec.msgpack.decode(row[0], type=OrderRecord) if row else None

    def read_trades(self) -> list[TradeRecord]:
        rows = self._db.execute("SELECT body FROM trades ORDER BY seq")
        return [msgspec.msgpack.decode(row[0], type=TradeRecord) for row in rows]

    def read_windows(self) -> list[WindowRecord]:
        rows = self._db.execute("SELECT body FROM windows")
        return [msgspec.msgpack.decode(row[0], type=WindowRecord) for row in rows]

    def read_redemptions(self) -> list[Redemption]:
        rows = self._db.execute("SELECT body FROM redemptions")
        return [msgspec.msgpack.decode(row[0], type=Redemption) for row in rows]

    def read_rebates(self) -> list[Rebate]:
        rows = self._db.execute("SELECT body FROM rebates ORDER BY at_ns")
        return [msgspec.msgpack.decode(row[0], type=Rebate) for row in rows]

    def last_seq(self) -> int:
        """Highest sequence number given to an order or a trade."""
        row = self._db.execute(
            "SELECT max(coalesce((SELECT max(seq) FROM orders), 0), "
            "coalesce((SELECT max(seq) FROM trades), 0))"
        ).fetchone()
        return int(row[0])

    def close(self) -> None:
        self.commit()
        if self._checkpoints is not None:
            self._checkpoints.close()
        self._db.close()
