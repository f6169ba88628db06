"""VaR beside its peers, and the joint simulation of a book of digitals."""

import statistics
import time
import warnings

import numpy as np

from risk.resolution import Market, Stake, simulate
from risk.var import historical

USD = 1_000_000


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empyrical
    results = np.random.default_rng(7).normal(0, 0.01, 1_000)
    ours = _median(lambda: historical(results, 0.95), 2_000)
    peer_var = _median(lambda: empyrical.value_at_risk(results, 0.05), 500)
    peer_both = _median(
        lambda: (
            empyrical.value_at_risk(results, 0.05),
            empyrical.conditional_value_at_risk(results, 0.05),
        ),
        500,
    )
    print("historical VaR and ES of 1,000 results, 95 % (median)")
    print(f"  ours, VaR and ES        {ours * 1e6:8.1f} us")
    print(f"  empyrical, VaR alone    {peer_var * 1e6:8.1f} us   {peer_var / ours:6.1f} x")
    print(f"  empyrical, VaR and CVaR {peer_both * 1e6:8.1f} us   {peer_both / ours:6.1f} x")
    book = [
        Stake(
            f"m{index}", ("BTC", "ETH")[index % 2],
            (60_000, 3_000)[index % 2] * (1 + (index - 25) / 2e4),
            300.0 * (1 + index % 5), USD * index, USD * (50 - index), 20 * USD,
        )
        for index in range(50)
    ]  # fmt: skip
    here = {"BTC": Market(60_000, 1e-4), "ETH": Market(3_000, 1.2e-4)}
    taken = _median(lambda: simulate(book, here, {("BTC", "ETH"): 0.8}, 100_000), 5)
    print(f"joint simulation, 100,000 paths x 50 positions: {taken:.3f} s (median of 5)")


def _median(work, repeats: int) -> float:  # type: ignore[no-untyped-def]
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
