"""Learning curves of all systems in one picture, from the CSV files of their fits."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from datamodules.files.data_root import natural_key
from runtime.systems import fitted_systems

FIGURES = ("perplexity", "accuracy", "mse", "loss")  # the first one with validation values is shown
TRAIN_COLOUR, VAL_COLOUR = "#fc8961", "#51127c"
NUM_TRAIN_POINTS = 200  # the most that are drawn, each the mean of its neighbours
MAX_LINEAR_RATIO = 4  # of the largest to the smallest value shown; above it the axis is logarithmic
Curve = tuple[np.ndarray, np.ndarray]


def read_curves(folder: Path) -> dict[str, Curve]:
    """Reads the steps and values of each figure of a fit, from `<folder>/version_*/metrics.csv` of Lightning's logger.

    Why: a resumed fit starts a new `version_*`. This joins them and leaves out steps that a later version repeats.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    paths = sorted(folder.glob("version_*/metrics.csv"), key=lambda path: natural_key(path.parent.name))
    if not paths:
        raise FileNotFoundError(f"There is no {folder}/version_*/metrics.csv; fit with Lightning's CSVLogger.")
    rows: list[dict[str, str]] = []
    for path in paths:
        with open(path, encoding="utf-8", newline="") as file:
            later = [row for row in csv.DictReader(file) if row.get("step")]
        first_step = min((int(row["step"]) for row in later), default=np.inf)
        rows = [row for row in rows if int(row["step"]) < first_step] + later
    names = dict.fromkeys(name for row in rows for name in row if name and name not in ("step", "epoch"))
    curves = {}
    for name in names:
        values = {int(row["step"]): float(row[name]) for row in rows if row.get(name)}
        if steps := sorted(values):
            curves[name] = np.array(steps), np.array([values[step] for step in steps])
    return curves


def draw_curves(logs: Path) -> Figure:
    """Draws one panel for each system, with its main figure on the training and the validation data.

    Raises:
        FileNotFoundError: if no system has a log with validation figures.
    """
    places = {name: place for place, name in enumerate(path.stem for path in fitted_systems())}
    folders = sorted(logs.glob("*/"), key=lambda folder: (places.get(folder.name, len(places)), folder.name))
    curves = {folder.name: read_curves(folder) for folder in folders if any(folder.glob("version_*/metrics.csv"))}
    figures = {system: _choose_figure(found) for system, found in curves.items()}
    systems = [system for system, figure in figures.items() if figure]
    if not systems:
        raise FileNotFoundError(f"There is no {logs}/<system>/version_*/metrics.csv with validation figures.")
    num_columns = min(2, len(systems))
    num_rows = -(-len(systems) // num_columns)
    figure = Figure(figsize=(8, 0.45 + 2.15 * num_rows), layout="constrained")
    axes = figure.subplots(num_rows, num_columns, squeeze=False).flatten()
    for axis, system in zip(axes, systems, strict=False):
        _draw_panel(axis, system, figures[system], curves[system])
    for axis in axes[len(systems) :]:
        axis.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=10)
    return figure


def _choose_figure(curves: dict[str, Curve]) -> str | None:
    return next((name for name in FIGURES if {f"val/{name}", _find_monitor(name)} <= curves.keys()), None)


def _find_monitor(figure: str) -> str:
    """The figure whose minimum decides on the kept checkpoint; accuracy is too coarse for that."""
    return "val/loss" if figure == "accuracy" else f"val/{figure}"


def _draw_panel(axis: Axes, system: str, figure: str, curves: dict[str, Curve]) -> None:
    steps, values = curves[f"val/{figure}"]
    shown: Sequence[np.ndarray] = [values]
    if f"train/{figure}" in curves:
        train_steps, train_values = thin(curves[f"train/{figure}"])
        axis.plot(train_steps, train_values, color=TRAIN_COLOUR, linewidth=1.3, label="training")
        shown = [values, train_values[len(train_values) // 20 :]]  # the steep start may leave the picture
    axis.plot(steps, values, "o-", color=VAL_COLOUR, linewidth=1.6, markersize=3, label="validation")
    low, high = min(map(np.min, shown)), max(map(np.max, shown))
    if figure == "accuracy":
        axis.set_ylim(min(0.5, low - 0.02), 1.01)
    elif low > 0 and high > MAX_LINEAR_RATIO * low:
        axis.set_yscale("log", subs=())
        axis.set_ylim(low * 0.85, high * 1.15)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
    else:
        spread = max(high - low, 0.1 * high, 1e-6)
        axis.set_ylim(max(0, low - 0.12 * spread), high + 0.08 * spread)
    kept = int(np.argmin(curves[_find_monitor(figure)][1]))
    axis.plot(steps[kept], values[kept], "o", markersize=8, markerfacecolor="none", color=VAL_COLOUR)
    title = f"{system}: {figure} {values[kept]:.3g} at step {steps[kept] + 1:,}, kept"
    axis.set_title(title, fontsize=10, loc="left", parse_math=False)
    axis.set_xlabel("steps", fontsize=9)
    axis.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    axis.locator_params(axis="x", nbins=6)
    axis.tick_params(labelsize=9)
    axis.grid(color="#e6e4ec", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def thin(curve: Curve) -> Curve:
    """Replaces neighbouring points of a long curve by their means, so that the line stays readable."""
    num_each = -(-len(curve[0]) // NUM_TRAIN_POINTS)
    starts = np.arange(0, len(curve[0]), num_each)
    counts = np.diff([*starts, len(curve[0])])
    return tuple(np.add.reduceat(values, starts) / counts for values in curve)
