"""Execution algorithms: a size bought or sold little by little, never more than was asked for."""

from engine.execution.parents import Executions

__all__ = ["Executions"]
