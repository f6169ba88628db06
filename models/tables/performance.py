"""Performance metrics, as the review computes them."""

from sqlalchemy import BigInteger, Float, ForeignKey, Identity, Index, Text

from models.tables.columns import Table, TimeNs, check, column


class PerformanceMetricRow(Table, table=True):
    __tablename__ = "performance_metrics"
    __table_args__ = (
        Index(
            "uq_performance_metrics_agent_horizon_name_computed_at",
            "agent", "horizon", "name", "computed_at",
            unique=True, postgresql_nulls_not_distinct=True,
        ),
        check("finite", "value > '-Infinity' AND value < 'Infinity'"),
    )  # fmt: skip

    id: int | None = column("id", BigInteger, Identity(always=True), primary_key=True, default=None)
    agent: str | None = column("agent", Text, ForeignKey("agents.name"), nullable=True)
    """NULL for the whole floor."""
    horizon: str = column("horizon", Text)
    """The stretch of time it looks back on: ``1h``, ``1d``, ``all``."""
    name: str = column("name", Text)
    value: float = column("value", Float(53))
    computed_ns: int = column("computed_at", TimeNs)
