"""What the venue still knows of windows that are long over."""

from .conftest import START_S

HISTORY = 2
WINDOW_S = 900


async def market(stage, condition_id):
    async with stage.http.get(f"{stage.sim.url}/clob/clob-markets/{condition_id}") as answer:
        return answer.status


async def play(stage, windows):
    for _ in range(windows * WINDOW_S // 60):
        await stage.advance(60)


async def test_a_window_somebody_traded_in_is_known_as_long_as_its_trades(make_stage):
    stage = await make_stage(history_windows=HISTORY)
    trader = await stage.trader()
    traded = stage.window.condition_id
    price, _ = (await stage.book())[1][0]
    status, answer = await trader.post(stage.up, price // 100 + 2, 10, "BUY", "FAK")
    assert (status, answer["status"]) == (200, "matched"), answer
    await play(stage, 1)
    idle = stage.window.condition_id
    assert idle != traded
    await play(stage, HISTORY + 3)
    assert (await market(stage, traded), await market(stage, idle)) == (200, 404)
    assert {trade["condition_id"] for trade in (await trader.ledger())["trades"]} == {traded}

    # And so it is for whoever comes back after the night.
    await stage.http.close()
    await stage.sim.close()
    again = await make_stage(at_s=START_S + 20 * WINDOW_S, history_windows=HISTORY)
    await play(again, HISTORY + 3)
    assert (await market(again, traded), await market(again, idle)) == (200, 404)
