"""The report as one offline HTML page."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from dlfbench.metrics.known import METRICS
from dlfbench.report import wording
from dlfbench.report.across_test_sets import generalization_plot, severity_plots
from dlfbench.report.agreement_figures import agreement_plot, bland_altman, repeat_plots
from dlfbench.report.basis.account import registration_counts
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.comparison import MANY_METHODS
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.figures import box_plots, candidate_scatter, cost_scatter, oracle_curve
from dlfbench.report.gallery import CasePicture, choose, draw_case
from dlfbench.report.rank_figures import critical_difference, rank_plot
from dlfbench.report.shown import format as say
from dlfbench.report.shown import more_tables, tables
from dlfbench.report.shown.figure_style import Picture
from dlfbench.report.shown.tables import Cell, Table
from dlfbench.report.training import training_curves

_MANY_PLOTS = 6


@dataclass(frozen=True)
class Figures:
    """Every figure of a report.

    Attributes:
        boxes: By test set.
        ranks: Critical-difference diagram, and how often each method has each rank, per test set.
        generalization: Mean of each method in each test set, where there are several, and by severity of shifts.
        oracle: Oracle by threshold, where there are bounds.
        candidates: Method against candidate, one per test set.
        volumes: Bias and limits of all methods, and Bland-Altman of each of few, per test set.
        repeats: Bland-Altman of two scans of a person, of each of few methods.
        cost: Accuracy against time.
        training: Training curves of methods that left them.
        gallery: Cases to look at, by test set.
    """

    boxes: dict[str, list[Picture]]
    ranks: list[Picture]
    generalization: list[Picture]
    oracle: list[Picture]
    candidates: list[Picture]
    volumes: list[Picture]
    repeats: list[Picture]
    cost: list[Picture]
    training: list[Picture]
    gallery: dict[str, list[CasePicture]]

    @property
    def all(self) -> list[Picture]:
        boxes = [picture for pictures in self.boxes.values() for picture in pictures]
        cases = [shown.picture for pictures in self.gallery.values() for shown in pictures]
        across = [*self.ranks, *self.generalization, *self.oracle, *self.candidates]
        return [*boxes, *across, *self.volumes, *self.repeats, *self.cost, *self.training, *cases]


def draw(analysis: Analysis, page_folder: Path) -> Figures:
    """Draws every figure, for a page in that folder."""
    return Figures(
        {scores.test_set: box_plots(analysis, scores) for scores in analysis.scores},
        _ranks(analysis),
        [*_present(generalization_plot(analysis)), *severity_plots(analysis)],
        _present(oracle_curve(analysis)),
        _present(*(candidate_scatter(analysis, scores) for scores in analysis.scores)),
        _volumes(analysis),
        [picture for scores in analysis.scores if _few(analysis) for picture in repeat_plots(analysis, scores)],
        _present(cost_scatter(analysis)),
        training_curves(analysis),
        {scores.test_set: _gallery(analysis, scores, page_folder) for scores in analysis.scores},
    )


def _few(analysis: Analysis) -> bool:
    return len(analysis.methods) <= _MANY_PLOTS


def _ranks(analysis: Analysis) -> list[Picture]:
    rows = analysis.comparisons
    rows = rows[(rows["label"] == ALL_LABELS) & (rows["metric"] == METRICS[0].name)]
    diagrams = (critical_difference(one, rows[rows["test_set"] == one.test_set]) for one in analysis.rankings)
    blobs = (rank_plot(ranking) for ranking in analysis.rankings if not np.isnan(ranking.shares).all())
    return [*_present(*diagrams), *blobs]


def _volumes(analysis: Analysis) -> list[Picture]:
    found = [agreement_plot(analysis, scores) for scores in analysis.scores]
    return found + [picture for one in analysis.scores if _few(analysis) for picture in bland_altman(analysis, one)]


def _gallery(analysis: Analysis, scores: Scores, page_folder: Path) -> list[CasePicture]:
    pictures = (draw_case(analysis.record, choice, page_folder) for choice in choose(analysis, scores))
    return [picture for picture in pictures if picture is not None]


def _present(*pictures: Picture | None) -> list[Picture]:
    return [picture for picture in pictures if picture is not None]


def render(analysis: Analysis, figures: Figures, page_folder: Path) -> str:
    """The page, to lie in that folder. Every name that comes from data, studies or plugins is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dlfbench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"data_uri": data_uri, "explorer": explorer}
    return environment.get_template("report.html.j2").render(**_content(analysis, figures, page_folder))


def _content(analysis: Analysis, figures: Figures, page_folder: Path) -> dict[str, Any]:
    record = analysis.record
    return {
        "analysis": analysis,
        "record": record,
        "figures": figures,
        "say": say,
        "metrics": METRICS,
        "all_labels": ALL_LABELS,
        "facts": wording.facts(analysis),
        "findings": wording.findings(analysis),
        "paragraphs": wording.statistical_methods(analysis),
        "citations": wording.citations(),
        "how_to_cite": wording.how_to_cite(analysis),
        "gaps": wording.gaps(analysis),
        "results": [
            (scores.test_set, [tables.results_table(analysis, scores.test_set, group) for group in _groups(analysis)])
            for scores in analysis.scores
        ],
        "matrices": _matrices(analysis),
        "summary": tables.summary_table(analysis),
        "comparisons": tables.comparison_table(analysis),
        "ranks": more_tables.rank_table(analysis),
        "repeatability": more_tables.repeatability_table(analysis),
        "drops": more_tables.drop_table(analysis),
        "drop_differences": more_tables.drop_difference_table(analysis),
        "bounds": more_tables.bounds_table(analysis),
        "volumes": more_tables.volume_table(analysis),
        "costs": more_tables.cost_table(analysis),
        "worst": more_tables.worst_table(analysis, page_folder),
        "failures": more_tables.failure_table(analysis),
        "registrations": more_tables.registration_table(analysis),
        "registered": registration_counts(record),
        "tolerance_mm": record.study.get("metrics", {}).get("surface_dice_tolerance_mm", 1.0),
    }


def _groups(analysis: Analysis) -> tuple[tuple[str, ...], tuple[str, ...]]:
    shown = tuple(bound for bound in analysis.bounds if bound in ("oracle10", "candidate"))
    return analysis.methods, shown


def _matrices(analysis: Analysis) -> list[tuple[str, list[Table]]]:
    """Per label, the mean over all of them first, one matrix per test set."""
    if not 2 <= len(analysis.methods) <= MANY_METHODS:
        return []
    labels = (ALL_LABELS, *analysis.labels[:-1])
    return [
        (label, [tables.matrix_table(analysis, scores.test_set, label) for scores in analysis.scores])
        for label in labels
    ]


def data_uri(picture: Picture) -> str:
    """A picture as the source of an image."""
    kind = "svg+xml" if picture.kind == "svg" else picture.kind
    return f"data:image/{kind};base64," + base64.b64encode(picture.content).decode()


def explorer(table: Table) -> dict[str, Any]:
    """A table as data that the page filters and sorts."""
    return {
        "columns": table.columns,
        "text": table.text_columns,
        "filters": [table.columns.index(name) for name in table.filters],
        "rows": [[_compact(cell) for cell in row] for row in table.rows],
    }


def _compact(cell: Cell) -> Any:
    if cell.sort is None and not cell.style:
        return cell.text
    sort = float(f"{cell.sort:.7g}") if isinstance(cell.sort, float) else cell.sort
    if sort is not None and sort != sort:
        sort = None
    elif sort is not None and not isinstance(sort, str):
        sort = float(sort)
    return [cell.text, sort, cell.style] if cell.style else [cell.text, sort]
