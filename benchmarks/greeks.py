"""Greeks of 10,000 digitals: ours over arrays beside QuantLib's Python binding, one by one."""

import statistics
import time

import numpy as np
import QuantLib as ql

from risk.greeks import digital, up_greeks

COUNT = 10_000
QUANTLIB_COUNT = 500


def measure() -> list[tuple[str, float, float]]:
    """Rows of (what, microseconds per option, ratio to QuantLib)."""
    rng = np.random.default_rng(7)
    spot, strike = rng.uniform(80, 120, COUNT), rng.uniform(80, 120, COUNT)
    years, vol = rng.uniform(0.05, 1, COUNT), rng.uniform(0.1, 0.8, COUNT)
    ours = _median(lambda: digital(spot, strike, years, vol), 15) / COUNT
    up = _median(lambda: up_greeks(spot, strike, vol / 5600, years * 900, spot, 60.0), 15) / COUNT
    peer = _median(lambda: _quantlib(spot, strike, vol), 3) / QUANTLIB_COUNT
    return [
        ("digital, price and 5 Greeks", ours * 1e6, peer / ours),
        ("up share, averaged settlement", up * 1e6, peer / up),
        ("QuantLib, price and 4 Greeks, engine reused", peer * 1e6, 1.0),
    ]


def _quantlib(spot: np.ndarray, strike: np.ndarray, vol: np.ndarray) -> None:
    today = ql.Date(1, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    count, calendar = ql.Actual365Fixed(), ql.NullCalendar()
    s, v = ql.SimpleQuote(100.0), ql.SimpleQuote(0.2)
    flat = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, count))
    black = ql.BlackVolTermStructureHandle(
        ql.BlackConstantVol(today, calendar, ql.QuoteHandle(v), count)
    )
    engine = ql.AnalyticEuropeanEngine(
        ql.BlackScholesMertonProcess(ql.QuoteHandle(s), flat, flat, black)
    )
    exercise = ql.EuropeanExercise(today + 90)
    for index in range(QUANTLIB_COUNT):
        s.setValue(spot[index])
        v.setValue(vol[index])
        payoff = ql.CashOrNothingPayoff(ql.Option.Call, strike[index], 1.0)
        option = ql.VanillaOption(payoff, exercise)
        option.setPricingEngine(engine)
        option.NPV(), option.delta(), option.gamma(), option.vega(), option.theta()


def _median(work, repeats: int) -> float:  # type: ignore[no-untyped-def]
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    print(f"Greeks of {COUNT:,} digitals (median; QuantLib on {QUANTLIB_COUNT} of them)")
    for name, micros, ratio in measure():
        print(
            f"  {name:45} {micros:8.3f} us/option   {micros * COUNT / 1e3:8.2f} ms   {ratio:7.1f} x"
        )


if __name__ == "__main__":
    main()
