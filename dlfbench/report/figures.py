"""The analysis as figures."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.basis.statistics import Array
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    legend_below,
    legend_in,
    markers,
    new_axes,
)

_MANY_LABELS = 6
_MANY_POINTS = 3000
_WIDTH_IN = 4.4
_ORACLES = {"oracle_one": "any"} | {f"oracle{percent}": f"{int(percent)}" for percent in ("05", "10", "20", "30", "50")}


def box_plots(analysis: Analysis, scores: Scores) -> list[Picture]:
    """Dice per label and over all labels, HD95 over all labels: a box and every case's point per method.

    With many labels only the panels over all labels are drawn.
    """
    labels = analysis.labels if len(analysis.labels) <= _MANY_LABELS + 1 else (ALL_LABELS,)
    panels = [("dice", label) for label in labels] + [("hd95_mm", ALL_LABELS)]
    limits = {metric: _limits(analysis, scores, metric, labels) for metric, _ in panels}
    return [_box_plot(analysis, scores, metric, label, limits[metric]) for metric, label in panels]


def _box_plot(analysis: Analysis, scores: Scores, metric: str, label: str, limits: tuple[float, float]) -> Picture:
    values = scores.values[metric][:, _places(analysis, scores), scores.labels.index(label)]
    methods, colour = analysis.methods, colours(analysis.methods)
    axes = new_axes(_WIDTH_IN, 0.9 + 0.36 * len(methods))
    rng = np.random.default_rng(0)
    for row, method in enumerate(methods):
        found = values[:, row][~np.isnan(values[:, row])]
        if found.size:
            _box(axes, row, found, colour[method], points=values.size <= _MANY_POINTS, rng=rng)
    axes.set_yticks(range(len(methods)), [in_lines(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlim(*limits)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    head(axes, f"{say.TITLES[metric]}, {label}")
    medians = [np.nanmedian(column) if not np.isnan(column).all() else np.nan for column in values.T]
    listed = ", ".join(f"{m} {say.number(v, metric)}" for m, v in zip(methods, medians, strict=True))
    return finish(
        axes,
        name=file_name("box", scores.test_set, metric, label),
        title=f"{say.TITLES[metric]} of {label}, test set {scores.test_set}",
        alt=f"Box plot of {say.TITLES[metric]} of {label} in test set {scores.test_set}, one point per case. "
        f"Medians: {listed}.",
    )


def _box(axes: Axes, row: int, values: Array, colour: str, *, points: bool, rng: np.random.Generator) -> None:
    axes.boxplot(
        values,
        positions=[row],
        orientation="horizontal",
        widths=0.62,
        showfliers=not points,
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": colour},
        patch_artist=True,
        boxprops={"facecolor": f"{colour}22", "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 2},
        whiskerprops={"color": colour},
        capprops={"color": colour},
    )
    if points:
        jitter = row + rng.uniform(-0.2, 0.2, values.size)
        axes.plot(values, jitter, ".", color=colour, markersize=5, alpha=0.75, markeredgewidth=0)


def oracle_curve(analysis: Analysis) -> Picture | None:
    """Mean Dice of the oracle against its threshold, with each test set's mean single candidate."""
    present = [bound for bound in _ORACLES if bound in analysis.bounds]
    if len(present) < 2:
        return None
    axes = new_axes(_WIDTH_IN, 2.9)
    names = [scores.test_set for scores in analysis.scores]
    colour, marker = colours(names), markers(names)
    said = []
    for name in names:
        curve = [_mean_dice(analysis, name, bound) for bound in present]
        axes.plot(range(len(present)), curve, marker=marker[name], color=colour[name], markersize=5, label=name)
        candidate = _mean_dice(analysis, name, "candidate")
        axes.axhline(candidate, color=colour[name], linestyle=":", linewidth=1.2)
        said.append(f"{name}: {say.number(curve[0], 'dice')} to {say.number(curve[-1], 'dice')}, "
                    f"single candidate {say.number(candidate, 'dice')}")  # fmt: skip
    axes.set_xticks(range(len(present)), [_ORACLES[bound] for bound in present])
    axes.set_xlabel("share of atlases that must carry the true label (%)")
    head(axes, f"Dice of the oracle, {ALL_LABELS}")
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    legend_below(axes)
    alt = f"Mean Dice of the oracle falls with its threshold. {'; '.join(said)}. Dotted: mean single candidate."
    return finish(axes, name="oracle-curve", title="Oracle by threshold", alt=alt)


def _mean_dice(analysis: Analysis, test_set: str, method: str) -> float:
    row = analysis.row(test_set, method, ALL_LABELS, "dice")
    return float("nan") if row is None else float(row["mean"])


def candidate_scatter(analysis: Analysis, scores: Scores) -> Picture | None:
    """Each case's Dice by each method against its mean single candidate: does fusion depend on the registration?"""
    if "candidate" not in analysis.bounds or len(scores.cases) * len(analysis.methods) > _MANY_POINTS:
        return None
    values = scores.values["dice"][:, :, -1]
    candidate = values[:, scores.methods.index("candidate")]
    axes = new_axes(_WIDTH_IN, 3.1 + legend_in(analysis.methods))
    colour, marker = colours(analysis.methods), markers(analysis.methods)
    for place, method in zip(_places(analysis, scores), analysis.methods, strict=True):
        (points,) = axes.plot(candidate, values[:, place], linestyle="", markersize=4, alpha=0.7, markeredgewidth=0)
        points.set(color=colour[method], marker=marker[method], label=method)
    axes.set_xlabel("mean Dice of a single candidate (registration quality)")
    axes.set_ylabel("Dice of the method")
    head(axes, f"{scores.test_set}, {ALL_LABELS}")
    axes.grid(color=RULE, linewidth=0.6)
    legend_below(axes)
    alt = (
        f"Scatter of {len(scores.cases)} cases of test set {scores.test_set}: Dice of each method against the mean "
        "Dice of the case's single candidates."
    )
    return finish(axes, name=file_name("candidate", scores.test_set), title="Method against candidate", alt=alt)


def cost_scatter(analysis: Analysis) -> Picture | None:
    """Mean Dice in the first test set against the median time to segment a case."""
    costs = analysis.costs[analysis.costs["task"] == "segmentation"].set_index("method")["median_s"]
    known = [method for method in analysis.methods if method in costs.index]
    if not known:
        return None
    axes = new_axes(_WIDTH_IN, 3.0)
    first = analysis.scores[0].test_set
    colour, marker = colours(analysis.methods), markers(analysis.methods)
    for method in known:
        time_s, dice = float(costs[method]), _mean_dice(analysis, first, method)
        axes.plot(time_s, dice, marker=marker[method], color=colour[method], markersize=7)
        axes.annotate(in_lines(method), (time_s, dice), xytext=(6, 3), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.margins(x=0.2, y=0.2)
    axes.set_xlabel("median time to segment a case (s), atlases registered")
    axes.set_ylabel("mean Dice")
    head(axes, f"{first}, {ALL_LABELS}")
    axes.grid(color=RULE, linewidth=0.6)
    listed = ", ".join(f"{m} {say.seconds(float(costs[m]))}" for m in known)
    alt = f"Mean Dice in test set {first} against median segmentation time: {listed}."
    return finish(axes, name="accuracy-time", title="Accuracy against time", alt=alt)


def _places(analysis: Analysis, scores: Scores) -> list[int]:
    return [scores.methods.index(method) for method in analysis.methods]


def _limits(analysis: Analysis, scores: Scores, metric: str, labels: Sequence[str]) -> tuple[float, float]:
    """Common limits of a metric's panels in one test set: they are to be compared."""
    shown = [scores.labels.index(label) for label in (labels if metric == "dice" else (ALL_LABELS,))]
    values = scores.values[metric][:, _places(analysis, scores)][:, :, shown]
    values = values[~np.isnan(values)]
    if not values.size:
        return 0.0, 1.0
    span = max(float(np.ptp(values)), 1e-3)
    return float(values.min()) - 0.05 * span, float(values.max()) + 0.05 * span
