"""Flows that the tests of the in-process worker run."""

import asyncio

from prefect import flow


@flow(name="sample-good")
async def good(word: str = "") -> str:
    return word


@flow(name="sample-bad")
async def bad() -> None:
    raise ValueError("it broke")


@flow(name="sample-slow", timeout_seconds=1)
async def slow() -> None:
    await asyncio.sleep(600)


not_a_flow = 7
