"""What fusion of these atlases could reach, how good the registrations were, and which look wrong."""

import pandas as pd

from dlfbench.files import file_name
from dlfbench.records.merge import registrations_of
from dlfbench.report.basis.account import registration_counts
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.basis.shares import atlases_that_miss
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    HALF_IN,
    RULE,
    Picture,
    colours,
    finish,
    head,
    legend_below,
    legend_in,
    markers,
    new_axes,
)
from dlfbench.report.shown.tables import Cell, Table

_MANY_POINTS = 3000
_ORACLES = {"oracle_one": "any"} | {f"oracle{percent}": f"{int(percent)}" for percent in ("05", "10", "20", "30", "50")}


def make(basis: Basis) -> Content:
    """The bounds, the oracle by threshold, methods against candidates, and flagged registrations."""
    missing = atlases_that_miss(basis.record.candidates)
    scatters = [candidate_scatter(basis, basis.scores_of(name)) for name in basis.main_sets]
    return Content(
        tables={"bounds": bounds_table(basis)} if basis.bounds else {},
        frames={"registrations": basis.flagged_registrations, **({"missing_atlases": missing} if len(missing) else {})},
        pictures=[picture for picture in (oracle_curve(basis), *scatters) if picture],
        shown={
            "counts": registration_counts(basis.record),
            "flagged": flagged_table(basis),
            "missing": missing_table(missing),
            "several": len(set(registrations_of(basis.record.parts))) > 1,
        },
    )


BOUNDS = Section(name="bounds", title="Bounds and registration", make=make, folded=True)


def bounds_table(basis: Basis) -> Table:
    """Dice of the oracle at each threshold and of a single candidate, per test set."""
    columns = ("test set", "bound", *(f"Dice {label}" for label in basis.labels))
    rows = []
    for scores in basis.scores:
        for bound in basis.bounds:
            found = [basis.row(scores.test_set, bound, label, "dice") for label in basis.labels]
            cells = [Cell(say.mean_sd(row["mean"], row["sd"], "dice"), row["mean"]) for row in found if row is not None]
            if cells:
                rows.append((Cell(scores.test_set), Cell(say.method_title(bound)), *cells))
    return Table(title="Bounds", columns=columns, rows=tuple(rows), text_columns=2)


def flagged_table(basis: Basis) -> Table:
    """Registrations that look wrong."""
    columns = ("target", "atlas", "what looks wrong")
    rows = tuple(
        tuple(Cell(str(row[name])) for name in ("target", "atlas", "flags"))
        for _, row in basis.flagged_registrations.iterrows()
    )
    return Table(title="Flagged registrations", columns=columns, rows=rows, text_columns=3)


def missing_table(missing: pd.DataFrame) -> Table:
    """Warped atlases that miss the reference."""
    columns = ("test set", "case", "atlas", "mean Dice")
    rows = tuple(
        (
            *(Cell(row[name]) for name in ("test_set", "case", "atlas")),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
        )
        for _, row in missing.iterrows()
    )
    return Table(title="Atlases that miss", columns=columns, rows=rows, text_columns=3)


def oracle_curve(basis: Basis) -> Picture | None:
    """Mean Dice of the oracle against its threshold, with each main test set's mean single candidate."""
    present = [bound for bound in _ORACLES if bound in basis.bounds]
    if len(present) < 2:
        return None
    names = basis.main_sets
    axes = new_axes(HALF_IN, 2.7 + legend_in(names))
    colour, marker = colours(names), markers(names)
    said = []
    for name in names:
        curve = [basis.mean_dice(name, bound) for bound in present]
        axes.plot(range(len(present)), curve, marker=marker[name], color=colour[name], markersize=5, label=name)
        candidate = basis.mean_dice(name, "candidate")
        axes.axhline(candidate, color=colour[name], linestyle=":", linewidth=1.2)
        span = f"{say.number(curve[0], 'dice')} to {say.number(curve[-1], 'dice')}"
        said.append(f"{name}: {span}, single candidate {say.number(candidate, 'dice')}")
    axes.set_xticks(range(len(present)), [_ORACLES[bound] for bound in present])
    axes.set_xlabel("share of atlases that must carry the true label (%)")
    head(axes, f"Dice of the oracle, {ALL_LABELS}")
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    legend_below(axes)
    alt = f"Mean Dice of the oracle falls with its threshold. {'; '.join(said)}. Dotted: mean single candidate."
    return finish(axes, name="oracle-curve", title="Oracle by threshold", alt=alt)


def candidate_scatter(basis: Basis, scores: Scores) -> Picture | None:
    """Each case's Dice by each method against its mean single candidate: does fusion depend on the registration?"""
    if "candidate" not in basis.bounds or len(scores.cases) * len(basis.methods) > _MANY_POINTS:
        return None
    values = scores.values["dice"][:, :, -1]
    candidate = values[:, scores.methods.index("candidate")]
    axes = new_axes(HALF_IN, 2.9 + legend_in(basis.methods))
    colour, marker = colours(basis.methods), markers(basis.methods)
    for method in basis.methods:
        column = values[:, scores.methods.index(method)]
        (points,) = axes.plot(candidate, column, linestyle="", markersize=4, alpha=0.7, markeredgewidth=0)
        points.set(color=colour[method], marker=marker[method], label=method)
    axes.set_xlabel("mean Dice of a single candidate")
    axes.set_ylabel("Dice of the method")
    head(axes, f"{scores.test_set}, {ALL_LABELS}")
    axes.grid(color=RULE, linewidth=0.6)
    legend_below(axes)
    alt = (
        f"Scatter of {len(scores.cases)} cases of test set {scores.test_set}: Dice of each method against the mean "
        "Dice of the case's single candidates."
    )
    return finish(axes, name=file_name("candidate", scores.test_set), title="Method against candidate", alt=alt)
