"""The tables of the floor's database. `metadata` knows all of them once this is imported."""

from models.tables.agents import AgentCheckpointRow, AgentLeaseRow, AgentRestartRow, AgentRow
from models.tables.audit import AuditLogRow
from models.tables.columns import Table
from models.tables.conditional import ConditionalOrderRow, ExecutionRow
from models.tables.market_data import MarketDataRow, SpotPriceRow
from models.tables.markets import MarketRow
from models.tables.orders import FillRow, OrderRow, OrderTransitionRow
from models.tables.performance import PerformanceMetricRow
from models.tables.positions import PortfolioSnapshotRow, PositionRow, TradeRow
from models.tables.signals import SignalRow
from models.tables.system import SystemEventRow, SystemStateRow

metadata = Table.metadata

__all__ = [
    "AgentCheckpointRow",
    "AgentLeaseRow",
    "AgentRestartRow",
    "AgentRow",
    "AuditLogRow",
    "ConditionalOrderRow",
    "ExecutionRow",
    "FillRow",
    "MarketDataRow",
    "MarketRow",
    "OrderRow",
    "OrderTransitionRow",
    "PerformanceMetricRow",
    "PortfolioSnapshotRow",
    "PositionRow",
    "SignalRow",
    "SpotPriceRow",
    "SystemEventRow",
    "SystemStateRow",
    "TradeRow",
    "metadata",
]
