"""What a trader tells people and the journal about fills, failures and results."""

from dataclasses import dataclass

import structlog

from engine.ports import Journal, Notices
from models.journal import WindowResult
from models.orders import Fill, TradeStatus
from models.units import SHARE, usd

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WindowFailure:
    """A window that ended early because its strategy raised."""

    slug: str
    error: str
    traceback: str


class Reporter:
    """Words for what happened; never waits."""

    def __init__(self, agent: str, journal: Journal, notices: Notices) -> None:
        self._agent = agent
        self._journal = journal
        self._notices = notices

    def fill(self, fill: Fill, slug: str) -> None:
        if fill.status is TradeStatus.FAILED:
            detail = {"trade_id": fill.trade_id, "order_id": fill.order_id}
            self._journal.event("fill_failed", detail)
            text = f"{self._agent}: a trade in {slug} failed at the venue and is reversed"
            self._notices.post("error", text, agent=self._agent)
            return
        shares, cash = fill.size_e6 / SHARE, usd(fill.cash_e6)
        self._notices.post(
            "trade_executed",
            f"{self._agent}: {fill.side} {shares:.2f} {fill.outcome} for ${cash} in {slug}",
            agent=self._agent,
            market=slug,
            side=fill.side.value,
            outcome=fill.outcome.value,
            role=fill.role.value,
            size_e6=fill.size_e6,
            cash_e6=fill.cash_e6,
            fee_e6=fill.fee_e6,
        )

    def failure(self, failure: WindowFailure) -> None:
        detail = {"market": failure.slug, "error": failure.error, "traceback": failure.traceback}
        log.error("strategy_failed", agent=self._agent, **detail)
        self._journal.event("strategy_failed", detail)
        text = f"{self._agent}: strategy failed in {failure.slug}: {failure.error}"
        self._notices.post("error", text, agent=self._agent)

    def breaker(self, text: str) -> None:
        """Tell that a limit has stopped the agent's buying."""
        self._journal.event("breaker", {"reason": text})
        words = f"{self._agent} buys no more today: {text}"
        self._notices.post("breaker", words, agent=self._agent)

    def settled(self, result: WindowResult) -> None:
        if not result.fills:
            return
        self._notices.post(
            "window_settled",
            f"{self._agent}: {result.slug} ended {result.winner}, {usd(result.pnl_e6)} USD",
            agent=self._agent,
            market=result.slug,
            winner=result.winner,
            fills=result.fills,
            pnl_e6=result.pnl_e6,
        )
