"""Figures of the page: volumes of all labels, intensities by group."""

from collections.abc import Sequence

import numpy as np

from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.look.measure import CaseFacts, outliers
from dlfbench.report.shown.figure_style import INK, PALETTE, RULE, Picture, finish, head, new_axes

_SPREAD = 0.28  # of dots around the line of their label
_NARROW = 4.0
_FINE_TICKS = (0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5)
_COARSE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_MANY_TIMES = 30.0  # between the largest and the smallest median: a logarithmic axis


def group_colours(found: Sequence[CaseFacts]) -> dict[str, str]:
    """A colour a group; one for all where there are no groups, or more than colours."""
    groups = sorted({facts.group for facts in found})
    if len(groups) > len(PALETTE):
        return dict.fromkeys(groups, PALETTE[0])
    return dict(zip(groups, PALETTE, strict=False))


def volume_figure(dataset: Dataset, found: Sequence[CaseFacts]) -> Picture:
    """Volumes as parts of each label's median, so that all labels share an axis; outliers are ringed."""
    labels = dataset.labels.foreground
    axes = new_axes(7.2, 0.9 + 0.3 * max(len(labels), 3))
    colours = group_colours(found)
    generator = np.random.default_rng(0)
    for row in range(len(labels)):
        volumes_mm3 = np.array([facts.volumes_mm3[row] for facts in found])
        usual = np.median(volumes_mm3[volumes_mm3 > 0]) if (volumes_mm3 > 0).any() else 1.0
        heights = row + generator.uniform(-_SPREAD, _SPREAD, len(found))
        shown = volumes_mm3 > 0
        tints = [colours[facts.group] for facts, here in zip(found, shown, strict=True) if here]
        axes.scatter(volumes_mm3[shown] / usual, heights[shown], s=9, c=tints, alpha=0.7, linewidths=0)
        odd = outliers(volumes_mm3)
        axes.scatter(volumes_mm3[odd] / usual, heights[odd], s=42, facecolors="none", edgecolors=INK, linewidths=0.9)
        across = axes.get_yaxis_transform()
        axes.text(1.01, row, f"{usual:.4g} mm\u00b3", transform=across, fontsize=8, va="center", color=INK)
    axes.axvline(1.0, color=RULE, linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = _FINE_TICKS if high / low < _NARROW else _COARSE_TICKS
    kept = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(kept, [f"{tick:g}" for tick in kept])
    axes.minorticks_off()
    axes.set_yticks(range(len(labels)), [name for _, name in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel("volume / median of the label")
    alt = f"Volumes of {len(labels)} labels in {len(found)} cases as parts of each label's median; outliers are ringed."
    return finish(axes, name="volumes", title="Volumes", alt=alt)


def intensity_figures(dataset: Dataset, found: Sequence[CaseFacts]) -> list[Picture]:
    """Per modality: from the 1st to the 99th percentile of every case, with its median, cases of a group together."""
    return [_intensities(found, place, name) for place, name in enumerate(dataset.modalities)]


def _intensities(found: Sequence[CaseFacts], place: int, modality: str) -> Picture:
    axes = new_axes(7.2, 2.8)
    colours = group_colours(found)
    ordered = sorted(found, key=lambda facts: (facts.group, facts.case.name))
    for group, colour in colours.items():
        at = [n for n, facts in enumerate(ordered) if facts.group == group]
        spread = np.array([ordered[n].intensities[place] for n in at])
        axes.vlines(at, spread[:, 0], spread[:, 4], color=colour, linewidth=0.7, alpha=0.6)
        axes.vlines(at, spread[:, 1], spread[:, 3], color=colour, linewidth=2)
        axes.scatter(at, spread[:, 2], s=5, color=INK, zorder=3, linewidths=0)
    medians = np.array([facts.intensities[place][2] for facts in found])
    if medians.min() > 0 and medians.max() / medians.min() > _MANY_TIMES:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1e5 else f"{value:.0e}")
    axes.set_xlabel("cases, by group and name" if len(colours) > 1 else "cases, by name")
    axes.set_ylabel("intensity")
    head(axes, modality)
    alt = f"Intensities of {modality} in {len(found)} cases: percentiles 1 to 99, quartiles and median, by group."
    return finish(axes, name=f"intensities-{place}", title=f"Intensities of {modality}", alt=alt)
