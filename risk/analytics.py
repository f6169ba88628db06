"""How positions move together, and which of them the risk comes from."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from models.errors import BadValue

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Covariance:
    """A covariance estimate; `shrinkage` is the weight of its target, 0 where none was used."""

    matrix: Floats
    shrinkage: float

    @property
    def correlation(self) -> Floats:
        """Correlations; 0 with a series that does not move, 1 of each with itself."""
        width = np.sqrt(np.diag(self.matrix))
        product = np.outer(width, width)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(product > 0, self.matrix / product, 0.0)
        np.fill_diagonal(found, 1.0)
        result: Floats = np.clip(found, -1.0, 1.0)
        return result


@dataclass(frozen=True, slots=True)
class Contributions:
    """Where a portfolio's deviation comes from, one entry per position.

    ``marginal`` is how much the deviation grows per unit more of a position; ``component`` is that
    times the position held: the components add up to ``deviation`` exactly (Euler's theorem for
    functions of degree one). ``share`` is the component as a part of the whole, 0 of nothing.
    """

    deviation: float
    marginal: Floats
    component: Floats
    share: Floats


def covariance(returns: npt.ArrayLike) -> Covariance:
    """Sample covariance (n - 1) of returns, shape (observations, series).

    Raises `BadValue` for fewer than two observations or values that are not finite.
    """
    values = _returns(returns)
    return Covariance(np.cov(values, rowvar=False, ddof=1).reshape(values.shape[1], -1), 0.0)


def shrunk_covariance(returns: npt.ArrayLike) -> Covariance:
    """Covariance pulled towards equal, uncorrelated variances: always well conditioned.

    Source: O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
    matrices", J. Multivariate Analysis 88 (2004); their moments are of `n`, not n - 1. The pull is
    strong where there are few observations, and fades with their number.
    """
    values = _returns(returns)
    count, width = values.shape
    centred = values - values.mean(axis=0)
    sample = centred.T @ centred / count
    mean_variance = float(np.trace(sample)) / width
    target = mean_variance * np.eye(width)
    spread = float(((sample - target) ** 2).sum()) / width
    if spread <= 0:
        return Covariance(sample, 0.0)
    squares = centred**2
    # Mean squared distance of single observations' products from the sample, over n.
    noise = (float((squares.T @ squares).sum()) / count - float((sample**2).sum())) / count / width
    weight = min(1.0, max(0.0, noise / spread))
    return Covariance((1 - weight) * sample + weight * target, weight)


def contributions(amounts: npt.ArrayLike, covariance_matrix: npt.ArrayLike) -> Contributions:
    """Split a portfolio's deviation onto its positions.

    Raises
    ------
    BadValue
        Shapes that do not fit, values not finite, or a variance below zero.
    """
    held = np.asarray(amounts, np.float64)
    matrix = np.asarray(covariance_matrix, np.float64)
    if held.ndim != 1 or matrix.shape != (len(held), len(held)):
        raise BadValue(f"amounts {held.shape} and covariance {matrix.shape} do not fit")
    if not (np.isfinite(held).all() and np.isfinite(matrix).all()):
        raise BadValue("amounts and covariance must be finite")
    pull = matrix @ held
    variance = float(held @ pull)
    if variance < -1e-12 * float(np.abs(matrix).sum() + 1) * float((held**2).sum() + 1):
        raise BadValue(f"covariance gives the negative variance {variance:.3g}; it is none")
    deviation = sqrt(max(0.0, variance))
    if deviation == 0:
        nothing = np.zeros(len(held))
        return Contributions(0.0, nothing, nothing, nothing)
    marginal = pull / deviation
    component = held * marginal
    return Contributions(deviation, marginal, component, component / deviation)


def concentration(exposures: npt.ArrayLike) -> float:
    """Herfindahl-Hirschman index of absolute exposures: 1 of one position, 1/n of n equal ones.

    0 where there is no exposure. Its inverse is the number of equal positions that would be as
    concentrated.
    """
    sizes = np.abs(np.asarray(exposures, np.float64))
    if sizes.ndim != 1 or not np.isfinite(sizes).all():
        raise BadValue("exposures must be one series of finite numbers")
    total = float(sizes.sum())
    return float(((sizes / total) ** 2).sum()) if total > 0 else 0.0


def _returns(returns: npt.ArrayLike) -> Floats:
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        raise BadValue(
            f"returns must have at least two rows and one column, got shape {values.shape}"
        )
    if not np.isfinite(values).all():
        row, column = (int(index[0]) for index in np.nonzero(~np.isfinite(values)))
        raise BadValue(f"return {row} of series {column} is {values[row, column]}; must be finite")
    return values
