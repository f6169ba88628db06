"""Column types that let code see integers where Postgres keeps NUMERIC and timestamptz."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    TIMESTAMP,
    CheckConstraint,
    Column,
    Dialect,
    MetaData,
    Numeric,
    Text,
    TypeDecorator,
)
from sqlmodel import Field, SQLModel

from models.errors import BadValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Table(SQLModel):
    """Base of every table. Constraints get predictable names, so that migrations can drop them."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


def column(name: str, kind: Any, *args: Any, default: Any = ..., **options: Any) -> Any:
    """Make a field kept in the column `name`; not nullable unless said otherwise."""
    options.setdefault("nullable", False)
    return Field(default, sa_column=Column(name, kind, *args, **options))


class _BaseUnits(TypeDecorator[int]):
    """NUMERIC in the database, an integer number of base units in code."""

    impl = Numeric
    cache_ok = True
    digits: ClassVar[int]
    decimals: ClassVar[int]

    def __init__(self) -> None:
        super().__init__(self.digits, self.decimals)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        if type(value) is not int:
            raise BadValue(f"{type(self).__name__}: {value!r} is not an integer of base units")
        return Decimal(value).scaleb(-self.decimals)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(Decimal(value).scaleb(self.decimals))


class PriceE4(_BaseUnits):
    digits, decimals = 6, 4


class SizeE6(_BaseUnits):
    digits, decimals = 20, 6


class CashE6(_BaseUnits):
    digits, decimals = 20, 6


class SpotE8(_BaseUnits):
    digits, decimals = 20, 8


class TimeNs(TypeDecorator[int]):
    """timestamptz in the database, nanoseconds in code; what lies below a microsecond is cut."""

    impl = TIMESTAMP
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(timezone=True)

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_ns(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else to_ns(value)


class Word(TypeDecorator[StrEnum]):
    """A `StrEnum` kept as text; `one_of` makes the database refuse any other."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


def one_of(name: str, words: type[StrEnum] | tuple[str, ...]) -> CheckConstraint:
    """Constrain the text column `name` to these words (NULL passes where it may be NULL)."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


def check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


def from_ns(ns: int) -> datetime:
    """Convert nanoseconds since the epoch to a UTC time, cutting below a microsecond."""
    return EPOCH + timedelta(microseconds=ns // 1000)


def to_ns(time: datetime) -> int:
    """Convert a time with a zone to nanoseconds since the epoch, exactly."""
    return (time - EPOCH) // _MICROSECOND * 1000
