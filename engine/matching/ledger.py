"""Who has what on the exchange: accounts, markets, cash, shares and pools."""

import numpy as np

from engine.matching.kernels import layout as at
from engine.matching.market import Entry, MarketState, grown
from engine.matching.types import Balance, ExchangeConfig, Pools, RebatePaid
from models.errors import BadValue
from models.markets import Market, Outcome

HOUSE = "@exchange"
"""The exchange's own account: counterpart of deposited shares and of adjustments."""


class Ledger:
    """Accounts and markets of an exchange, without the trading.

    All cash that was ever deposited is in an account, in a market's collateral, or in its fee or
    rounding pool; each market has as many shares of Up as of Down as collateral backs.

    Attributes
    ----------
    deposited_e6
        Cash that ever came in, less what was withdrawn.
    """

    def __init__(self, config: ExchangeConfig | None = None) -> None:
        self.config = config or ExchangeConfig()
        self.deposited_e6 = 0
        self._names: list[str] = []
        self._index: dict[str, int] = {}
        self._accounts = np.zeros((16, at.ACCOUNT_FIELDS), np.int64)
        self._states: dict[str, MarketState] = {}
        self._tokens: dict[str, MarketState] = {}
        self._listed = 0
        self._entries: dict[str, Entry] = {}
        self._open: dict[int, dict[str, Entry]] = {}
        self.open_account(HOUSE, unlimited=True)

    # --- accounts -----------------------------------------------------------------------------

    def open_account(self, account: str, cash_e6: int = 0, unlimited: bool = False) -> None:
        """Open an account. An unlimited one may owe cash and shares.

        Raises
        ------
        BadValue
            The account exists, or the cash is negative.
        """
        if account in self._index:
            raise BadValue(f"account {account!r} is open already; use deposit")
        if cash_e6 < 0:
            raise BadValue(f"account {account!r} cannot begin with {cash_e6} e6 of cash")
        number = len(self._names)
        if number == len(self._accounts):
            self._accounts = grown(self._accounts, 2 * number)
            for state in self._states.values():
                state.held = grown(state.held, 2 * number)
        self._names.append(account)
        self._index[account] = number
        self._open[number] = {}
        self._accounts[number, at.UNLIMITED] = unlimited
        if cash_e6:
            self.deposit(account, cash_e6)

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account's name, the exchange's own first."""
        return tuple(self._names)

    def deposit(self, account: str, cash_e6: int) -> None:
        """Add cash to an account. Raises `BadValue` for an unknown account or no cash."""
        if cash_e6 <= 0:
            raise BadValue(f"deposit to {account!r}: {cash_e6} e6 is not positive")
        self._accounts[self._account(account), at.CASH] += cash_e6
        self.deposited_e6 += cash_e6

    def withdraw(self, account: str, cash_e6: int) -> None:
        """Take free cash out of an account. Raises `BadValue` where there is not as much."""
        free = self.balance(account).free_e6
        if cash_e6 <= 0 or cash_e6 > free:
            raise BadValue(f"withdrawal from {account!r}: {cash_e6} e6, {free} are free")
        self._accounts[self._account(account), at.CASH] -= cash_e6
        self.deposited_e6 -= cash_e6

    def deposit_shares(self, account: str, token_id: str, size_e6: int) -> None:
        """Give an account shares: pairs are minted and the exchange keeps the other token.

        Raises
        ------
        BadValue
            Unknown account or token, no shares, or the market is resolved.
        """
        state = self._of_token(token_id)
        if size_e6 <= 0:
            raise BadValue(f"shares for {account!r}: {size_e6} e6 is not positive")
        if state.winner is not None:
            raise BadValue(f"shares for {account!r}: market {state.market.slug} is resolved")
        number, token = self._account(account), state.token_index(token_id)
        state.held[number, token] += size_e6
        state.held[0, 1 - token] += size_e6
        state.head[at.COLLATERAL] += size_e6
        self._accounts[0, at.CASH] -= size_e6

    def balance(self, account: str) -> Balance:
        """Cash of an account. Raises `BadValue` for an unknown one."""
        number = self._account(account)
        return Balance(
            int(self._accounts[number, at.CASH]), int(self._accounts[number, at.CASH_LOCKED])
        )

    def shares(self, account: str, token_id: str) -> tuple[int, int]:
        """Shares of a token, in all and the part locked by open SELLs; 0 in unlisted markets."""
        number = self._account(account)
        state = self._tokens.get(token_id)
        if state is None:
            return 0, 0
        token = state.token_index(token_id)
        return int(state.held[number, token]), int(state.held[number, at.HELD_LOCKED + token])

    def fees_paid(self, account: str) -> int:
        """Taker fees an account ever paid, in e6."""
        return int(self._accounts[self._account(account), at.FEES_PAID])

    # --- markets ------------------------------------------------------------------------------

    def add_market(self, market: Market, taker_delay_ms: int = 0) -> None:
        """List a market. Raises `BadValue` when it is listed already or cannot be traded."""
        if market.condition_id in self._states:
            raise BadValue(f"market {market.slug} ({market.condition_id}) is listed already")
        for token in (market.up_token, market.down_token):
            if token in self._tokens:
                raise BadValue(f"market {market.slug}: token {token} is listed already")
        state = MarketState(market, self._listed, self.config, taker_delay_ms, len(self._accounts))
        self._listed += 1
        self._states[market.condition_id] = state
        self._tokens[market.up_token] = state
        self._tokens[market.down_token] = state

    def remove_market(self, condition_id: str) -> None:
        """Forget a resolved market and its orders; what its pools hold stays with the exchange.

        Raises `BadValue` while the market is open.
        """
        state = self._state(condition_id)
        if state.winner is None:
            raise BadValue(f"market {state.market.slug} is not resolved; resolve it first")
        self._accounts[0, at.CASH] += state.head[at.FEES] + state.head[at.ROUNDING]
        del self._states[condition_id]
        del self._tokens[state.market.up_token], self._tokens[state.market.down_token]
        gone = [key for key, e in self._entries.items() if e.order.condition_id == condition_id]
        for key in gone:
            del self._entries[key]

    @property
    def markets(self) -> dict[str, Market]:
        """Listed markets by condition id, resolved ones too, until they are removed."""
        return {key: state.market for key, state in self._states.items()}

    def tick_e4(self, condition_id: str) -> int:
        """Tick now; it may be finer than the market began with."""
        return self._state(condition_id).tick_e4

    def winner(self, condition_id: str) -> Outcome | None:
        """Winning outcome of a resolved market, else None."""
        return self._state(condition_id).winner

    def pools(self, condition_id: str) -> Pools:
        """What a market holds for others."""
        state = self._state(condition_id)
        return Pools(
            collateral_e6=int(state.head[at.COLLATERAL]),
            fees_e6=int(state.head[at.FEES]),
            rebate_e6=_rebate_pool(state),
            rounding_e6=int(state.head[at.ROUNDING]),
        )

    def pay_rebates(self, condition_id: str) -> list[RebatePaid]:
        """Pay makers their part of the fees collected since the last time.

        Each maker gets the pool's share that its fills had in the fees takers paid, rounded down;
        what rounding leaves stays in the fee pool. The venue does this once a day per market.
        """
        state = self._state(condition_id)
        pool, total = _rebate_pool(state), int(state.head[at.REBATE_TOTAL])
        paid: list[RebatePaid] = []
        for number in np.flatnonzero(state.held[:, at.REBATE_WEIGHT]):
            cash = pool * int(state.held[number, at.REBATE_WEIGHT]) // total
            if cash:
                self._accounts[number, at.CASH] += cash
                paid.append(RebatePaid(condition_id, self._names[number], cash))
        state.rebated_fees_e6 += state.period_fees_e6
        state.rebates_paid_e6 += sum(rebate.cash_e6 for rebate in paid)
        state.head[at.FEES] -= sum(rebate.cash_e6 for rebate in paid)
        state.held[:, at.REBATE_WEIGHT] = 0
        state.head[at.REBATE_TOTAL] = 0
        return paid

    # --- looking up ---------------------------------------------------------------------------

    def _account(self, account: str) -> int:
        number = self._index.get(account)
        if number is None:
            raise BadValue(f"account {account!r} is not open; use open_account")
        return number

    def _state(self, condition_id: str) -> MarketState:
        state = self._states.get(condition_id)
        if state is None:
            raise BadValue(f"market {condition_id!r} is not listed; use add_market")
        return state

    def _of_token(self, token_id: str) -> MarketState:
        state = self._tokens.get(token_id)
        if state is None:
            raise BadValue(f"token {token_id!r} belongs to no listed market; use add_market")
        return state


def _rebate_pool(state: MarketState) -> int:
    return state.period_fees_e6 * state.market.fee.rebate_ppm // 1_000_000
