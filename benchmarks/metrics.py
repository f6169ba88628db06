"""How fast the ratios of a run are, beside empyrical in the same run.

    python benchmarks/metrics.py

Sharpe ratio, Sortino ratio and max drawdown of 1,000 and of 100,000 returns. Times are the best of
several medians, as other programs disturb them; quote the ratios.
"""

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

from risk import performance as figures

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical

YEAR = 365.0
ROUNDS = 7


def median_us(call: Callable[[], object], repeats: int) -> float:
    """Best of several medians of `repeats` calls, in microseconds."""
    medians = []
    for _ in range(ROUNDS):
        times = []
        for _ in range(repeats):
            begun = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - begun)
        medians.append(statistics.median(times))
    return min(medians) / 1_000


def main() -> None:
    rng = np.random.default_rng(7)
    for count in (1_000, 100_000):
        returns = rng.normal(0.0002, 0.01, count)

        def ours(values: np.ndarray = returns) -> tuple[float, ...]:
            return (
                figures.sharpe(values, YEAR),
                figures.sortino(values, YEAR),
                figures.max_drawdown(values),
            )

        def theirs(values: np.ndarray = returns) -> tuple[float, ...]:
            return (
                empyrical.sharpe_ratio(values, annualization=YEAR),
                empyrical.sortino_ratio(values, annualization=YEAR),
                empyrical.max_drawdown(values),
            )

        assert np.allclose(ours(), theirs(), rtol=1e-9)
        repeats = 20_000_000 // (count + 50_000) // 10
        own, other = median_us(ours, repeats), median_us(theirs, repeats)
        print(
            f"{count:>7,} returns: Sharpe + Sortino + max drawdown {own:8.1f} us, "
            f"empyrical {other:8.1f} us: {other / own:.1f} x faster"
        )


if __name__ == "__main__":
    main()
