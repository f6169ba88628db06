"""Wallets: who owns them, what they were given, what they hold (the exchange core keeps count)."""

from engine.matching import Exchange
from venue.simulator.journal import Journal

CASH = ""
"""The token name of cash in balances."""
PROVIDER = "liquidity"
TAKER = "public"
"""Accounts of everybody who is not a client; both may owe without limit."""


class Bank:
    """Opens wallets with the starting capital and writes every changed balance down."""

    def __init__(self, exchange: Exchange, journal: Journal, capital_e6: int) -> None:
        self._exchange = exchange
        self._journal = journal
        self._capital_e6 = capital_e6
        self._owner: dict[str, str] = {}
        self._granted: dict[str, int] = {}
        self._changed: set[tuple[str, str]] = set()
        exchange.open_account(PROVIDER, unlimited=True)
        exchange.open_account(TAKER, unlimited=True)

    def open(self, wallet: str, owner: str) -> None:
        """Open a wallet that is used for the first time; later calls do nothing."""
        if wallet in self._owner:
            return
        self._owner[wallet] = owner
        self._granted[wallet] = self._capital_e6
        self._exchange.open_account(wallet, cash_e6=self._capital_e6)
        self._journal.wallet(wallet, owner, self._capital_e6)
        self.touch(wallet, CASH)

    def restore(self, wallet: str, owner: str, granted_e6: int, cash_e6: int) -> None:
        self._owner[wallet] = owner
        self._granted[wallet] = granted_e6
        self._exchange.open_account(wallet, cash_e6=cash_e6)

    def knows(self, wallet: str) -> bool:
        return wallet in self._owner

    def owner(self, wallet: str) -> str:
        return self._owner[wallet]

    def wallets(self, owner: str) -> list[str]:
        return [wallet for wallet, of in self._owner.items() if of == owner]

    def granted(self, wallet: str) -> int:
        return self._granted[wallet]

    def cash(self, wallet: str) -> int:
        """Cash in e6, reservations included; an unknown wallet has none."""
        return self._exchange.balance(wallet).cash_e6 if wallet in self._owner else 0

    def reserved(self, wallet: str) -> int:
        return self._exchange.balance(wallet).reserved_e6

    def shares(self, wallet: str, token: str) -> int:
        if wallet not in self._owner:
            return 0
        return self._exchange.shares(wallet, token)[0]

    def amount(self, wallet: str, token: str) -> int:
        return self.shares(wallet, token) if token else self.cash(wallet)

    def touch(self, wallet: str, token: str) -> None:
        """Note that a balance changed; `flush` writes it."""
        if wallet in self._owner:
            self._changed.add((wallet, token))

    def flush(self) -> None:
        for wallet, token in self._changed:
            self._journal.balance(wallet, token, self.amount(wallet, token))
        self._changed.clear()
