"""Reading scenarios people wrote, and drawing what they would do."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from matplotlib.figure import Figure

from models.errors import BadValue, ConfigError
from models.units import USD
from risk.stress import Scenario, Stressed, scenarios_of

KINDS = (".png", ".svg", ".pdf")


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """Read a YAML file of scenarios. Raises `ConfigError` with a line per fault."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path.name}: is not valid YAML: {' '.join(str(error).split())}"
        ) from None
    return scenarios_of(raw, path.name)


def plot_stress(results: Sequence[Stressed], path: Path) -> None:
    """Draw a bar per scenario: the change in expected result, and the worst that may come.

    Raises
    ------
    BadValue
        The file's ending is none of .png, .svg and .pdf, or it can't be written.
    """
    if path.suffix.lower() not in KINDS:
        raise BadValue(f"--plot {path.name}: must end in one of {', '.join(KINDS)}")
    figure = Figure(figsize=(9, 0.55 * len(results) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    rows = range(len(results))
    axes.barh(
        [row - 0.2 for row in rows], [one.change_e6 / USD for one in results], 0.38,
        color="#4477aa", label="change of the expected result",
    )  # fmt: skip
    axes.barh(
        [row + 0.2 for row in rows], [one.worst_e6 / USD for one in results], 0.38,
        color="#cc6677", label="the worst at resolution",
    )  # fmt: skip
    axes.set_yticks(list(rows), [one.scenario.name for one in results])
    axes.invert_yaxis()
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set_xlabel("$")
    axes.set_title("What scenarios would do to the open book")
    axes.legend(loc="lower left", fontsize="small")
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise BadValue(f"--plot {path}: can't be written: {error.strerror}") from None
