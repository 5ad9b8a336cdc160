"""Every number of the page, recomputed from the analysis: tables, sentences, alternative texts and figures."""

import re

import numpy as np
import pandas as pd
import pytest

from dlfbench.report.basis.agreement import volume_agreement
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.generalization import drop_differences, drops
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.sections import bounds, generalization, labels, ranking, results, volumes
from synthetic_run import make_results, make_run

pytestmark = pytest.mark.figures

DECIMALS = {"dice": 3, "hd95_mm": 2, "assd_mm": 2, "surface_dice": 3, "volume_error": 3}
TITLES = {"Dice": "dice", "HD95 (mm)": "hd95_mm", "ASSD (mm)": "assd_mm"}
TITLES |= {"Surface Dice": "surface_dice", "Volume error": "volume_error"}


def said(value, decimals, *, signed=False, beside=None):
    """A number as the page writes it; in millimetres with a third decimal where it and its neighbour are small."""
    if np.isnan(value):
        return "–"
    if decimals == 2 and 0 < max(abs(value), abs(beside or 0)) < 0.00995:
        decimals = 3
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{decimals}f}"


def span(low, high, decimals, *, signed=False):
    if np.isnan(low):
        return "–"
    if decimals == 2 and 0 < max(abs(low), abs(high)) < 0.00995:
        decimals = 3
    if signed and any(0 < abs(value) < 0.5 * 10**-decimals for value in (low, high)):
        decimals += 1  # on which side of 0 it lies is to be seen
    ends = said(low, decimals, signed=signed, beside=high), said(high, decimals, signed=signed, beside=low)
    return " to ".join(ends)


def p_of(value):
    return "<0.001" if value < 0.001 else said(value, 3)


def explored(read, name):
    """Rows of a filterable table as dicts of text, with the sort key under (column, 'sort')."""
    table = read.explorers[f"table-{name}"]
    for row in table["rows"]:
        cells = dict(zip(table["columns"], row, strict=True))
        yield {c: v[0] if isinstance(v, list) else v for c, v in cells.items()}, cells


def check(read, name, frame, expected):
    """All columns of every row that are numbers, and every row of the frame."""
    rows = list(explored(read, name))
    assert len(rows) == len(frame) > 0
    for (shown, _), (_, row) in zip(rows, frame.iterrows(), strict=True):
        numbers = expected(row)
        assert {column: shown[column] for column in numbers} == numbers


def test_summary(read, analysis):
    def expected(row):
        n = DECIMALS[row["metric"]]
        return {
            "n/N": f"{row['scored']}/{row['planned']}",
            "empty": str(row["empty"]),
            **{name: said(row[name], n) for name in ("mean", "sd", "median")},
            "IQR": span(row["q1"], row["q3"], n),
            "95% CI of mean": span(row["low"], row["high"], n),
        }

    check(read, "summary", analysis.summary, expected)
    for (_, cells), mean in zip(explored(read, "summary"), analysis.summary["mean"], strict=True):
        assert cells["mean"][1] == pytest.approx(mean, rel=1e-6)


def test_comparisons(read, analysis):
    def expected(row):
        return {
            "persons": str(row["persons"]),
            "a − b": said(row["difference"], 4, signed=True),
            "95% CI": span(row["low"], row["high"], 4, signed=True),
            "p": p_of(row["p"]),
            "p (Holm)": p_of(row["p_holm"]),
            "effect": said(row["effect"], 2, signed=True),
            "win/tie/loss": f"{row['wins']}/{row['ties']}/{row['losses']}",
            "p permutation": p_of(row["p_permutation"]),
            "p equivalent": p_of(row["p_equivalent"]),
        }

    check(read, "comparisons", analysis.comparisons, expected)


def test_losses(read, analysis):
    def expected(row):
        n = DECIMALS[row["metric"]]
        return {
            "mean at home": said(row["home_mean"], n),
            "mean there": said(row["away_mean"], n),
            "loss": said(row["drop"], n, signed=True),
            "95% CI": span(row["low"], row["high"], n, signed=True),
        }

    check(read, "drops", drops(analysis.scores, analysis.methods), expected)


def test_differences_of_losses(read, analysis):
    def expected(row):
        return {
            "loss of a − loss of b": said(row["difference"], 4, signed=True),
            "95% CI": span(row["low"], row["high"], 4, signed=True),
            "p": p_of(row["p"]),
            "p (Holm)": p_of(row["p_holm"]),
        }

    check(read, "drop-differences", drop_differences(analysis.scores, analysis.methods), expected)


def agreement(analysis):
    return pd.concat([volume_agreement(one, analysis.methods) for one in analysis.scores], ignore_index=True)


def test_volumes(read, analysis):
    def expected(row):
        return {
            "n": str(row["n"]),
            "mean reference (mm³)": said(row["reference_mm3"], 0),
            "bias (mm³)": said(row["bias_mm3"], 0, signed=True),
            "limits of agreement (mm³)": span(row["low_mm3"], row["high_mm3"], 0, signed=True),
            "bias (%)": said(row["bias_percent"], 1, signed=True),
            "limits of agreement (%)": span(row["low_percent"], row["high_percent"], 1, signed=True),
            "correlation": said(row["correlation"], 3),
        }

    check(read, "volumes", agreement(analysis), expected)


def plain(read, section, place=0):
    """A table of a section as dicts of text."""
    head, *rows = [rows for name, rows in read.tables if name == section and rows][place]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_overview_is_in_order_of_score(read, analysis):
    _, _, *rows = next(rows for name, rows in read.tables if name == "results")
    for method, shown in zip((*analysis.by_score, "oracle10", "candidate"), rows, strict=True):
        for place, scores in enumerate(analysis.scores):
            dice, hd95 = (analysis.row(scores.test_set, method, ALL_LABELS, name) for name in ("dice", "hd95_mm"))
            interval = span(dice["low"], dice["high"], 3).replace(" to ", "–")
            assert shown[1 + 2 * place] == f"{said(dice['mean'], 3)} {interval}"
            assert shown[2 + 2 * place] == said(hd95["mean"], 2)
    failures = {row[0]: row[5] for row in rows}
    assert [failures[method] for method in analysis.by_score] == ["0", "0", "1 of 48"]
    assert analysis.by_score[-1] == "svwv"


def test_the_forest_of_the_best_two_comes_first(read, analysis):
    head, *rows = next(rows for name, rows in read.tables if name == "pair")
    first, second = analysis.by_score[:2]
    assert head[2] == f"← {second}{first} →"
    found = [row for row in rows if len(row) == 7]
    assert len(found) == 2 * (4 + 4)
    pairs = analysis.comparisons.set_index(["test_set", "label", "metric", "a", "b"])
    forward = (found[0][0], found[0][1], "dice", first, second) in pairs.index
    for test_set, label, _, difference, interval, p, _ in found[:8]:
        row = pairs.loc[(test_set, label, "dice", *((first, second) if forward else (second, first)))]
        low, high = (row["low"], row["high"]) if forward else (-row["high"], -row["low"])
        assert difference == said(row["difference"] * (1 if forward else -1), 3, signed=True)
        assert interval == span(low, high, 3, signed=True)
        assert p == p_of(row["p_holm"])


def test_results(read, analysis):
    for place, scores in enumerate(analysis.scores):
        rows = plain(read, "labels", place)
        names = {"oracle 10%": "oracle10", "mean single candidate": "candidate"}
        assert len(rows) == len(analysis.methods) + 2
        for shown in rows:
            method = names.get(shown["method"], shown["method"])
            row = {label: analysis.row(scores.test_set, method, label, "dice") for label in analysis.labels}
            for label, found in row.items():
                assert shown[f"Dice {label}"] == f"{said(found['mean'], 3)} ± {said(found['sd'], 3)}"
            mean, hd95 = row[ALL_LABELS], analysis.row(scores.test_set, method, ALL_LABELS, "hd95_mm")
            assert shown["n/N"] == f"{mean['scored']}/{mean['planned']}"
            assert shown["95% CI, all labels"] == span(mean["low"], mean["high"], 3)
            assert shown["HD95 all labels (mm)"] == f"{said(hd95['mean'], 2)} ± {said(hd95['sd'], 2)}"


def test_matrices(read, analysis):
    pairs = analysis.comparisons.set_index(["test_set", "label", "metric", "a", "b"])
    matrices = [rows for name, rows in read.tables if name == "labels" and rows][len(analysis.scores) :]
    names = (ALL_LABELS, *analysis.labels[:-1])
    assert len(matrices) == len(names) * len(analysis.scores)
    for (label, scores), matrix in zip(((la, s) for la in names for s in analysis.scores), matrices, strict=True):
        for a, b, cell in ((row[0], b, cell) for row in matrix[1:] for b, cell in zip(matrix[0], row, strict=True)):
            if b in analysis.methods and a != b:
                forward = (scores.test_set, label, "dice", a, b) in pairs.index
                row = pairs.loc[(scores.test_set, label, "dice", *((a, b) if forward else (b, a)))]
                p = p_of(row["p_holm"])
                difference = said((1 if forward else -1) * row["difference"], 3, signed=True)
                assert cell == f"{difference}\np {p if p[0] == '<' else '= ' + p}"


def test_ranks(read, analysis):
    rows = iter(plain(read, "ranking"))
    for ranks in analysis.rankings:
        for at, method in enumerate(ranks.methods):
            shown = next(rows)
            assert (shown["test set"], shown["method"]) == (ranks.test_set, method)
            assert [shown[f"by {rule}"] for rule in ranks.ranks] == [said(r[at], 0) for r in ranks.ranks.values()]
            assert shown["mean rank over persons"] == said(ranks.mean_rank[at], 2)
            first = ranks.shares[at, 0]
            assert shown["first in resamples"] == ("–" if np.isnan(first) else f"{100 * first:.0f}%")


def test_bounds(read, analysis):
    names = {"oracle, any atlas": "oracle_one", "mean single candidate": "candidate"}
    names |= {f"oracle {int(n)}%": f"oracle{n}" for n in ("05", "10", "50")}
    rows = plain(read, "bounds")
    assert len(rows) == len(names) * len(analysis.scores)
    for shown in rows:
        for label in analysis.labels:
            row = analysis.row(shown["test set"], names[shown["bound"]], label, "dice")
            assert shown[f"Dice {label}"] == f"{said(row['mean'], 3)} ± {said(row['sd'], 3)}"


def test_worst_cases(read, analysis):
    values = [
        (scores.values["dice"][case, scores.methods.index(method), -1], scores, case, method)
        for scores in analysis.scores
        for case in range(len(scores.cases))
        for method in analysis.methods
    ]
    lowest = sorted((found for found in values if not np.isnan(found[0])), key=lambda found: found[0])[:10]
    for shown, (dice, scores, case, method) in zip(plain(read, "cases"), lowest, strict=True):
        assert (shown["case"], shown["method"]) == (scores.cases[case], method)
        hd95 = scores.values["hd95_mm"][case, scores.methods.index(method), -1]
        assert shown["Dice all labels"] == said(dice, 3)
        assert shown["HD95 all labels (mm)"] == said(hd95, 2)


def test_costs(read, analysis):
    for shown, (_, row) in zip(plain(read, "cost", 1), analysis.costs.iterrows(), strict=True):
        assert (shown["method"], shown["done"], shown["failed"]) == (row["method"], str(row["n"]), str(row["failed"]))
        # below ten seconds
        assert shown["median time"] == f"{row['median_s']:.1f} s"


def test_sentences(read, analysis):
    """Each `method (mean)` and each interval of the findings."""
    text = " ".join(read.text)
    for scores in analysis.scores:
        rows = {m: analysis.row(scores.test_set, m, ALL_LABELS, "dice") for m in analysis.methods}
        ranked = {m: row for m, row in rows.items() if row["complete"]}
        best = max(ranked, key=lambda method: ranked[method]["mean"])
        interval = span(ranked[best]["low"], ranked[best]["high"], 3)
        assert f"{best} has the highest mean Dice {said(ranked[best]['mean'], 3)} (95% CI {interval})." in text
        for method in set(ranked) - {best}:
            assert f"{method} ({said(ranked[method]['mean'], 3)})" in text


def test_alternative_texts(read, analysis):
    checked = 0
    for alt in read.alts:
        box = re.match(r"Box plot of (.+) of (.+) in test set (.+), one point per case\. Medians: (.+)\.$", alt)
        volume = re.match(r"Bland-Altman plot of predicted less reference volume, (\S+), (\S+): (.+)\.$", alt)
        if box:
            for shown in box[4].split(", "):
                method, median = shown.rsplit(" ", 1)
                row = analysis.row(box[3], method, box[2], TITLES[box[1]])
                assert median == said(row["median"], DECIMALS[TITLES[box[1]]])
                checked += 1
        if volume:
            row = agreement(analysis).set_index(["method", "test_set", "label"]).loc[(*volume.groups()[:2], ALL_LABELS)]
            limits = f"{said(row['low_mm3'], 0, signed=True)} to {said(row['high_mm3'], 0, signed=True)} mm³"
            assert volume[3] == f"bias {said(row['bias_mm3'], 0, signed=True)} mm³, limits of agreement {limits}"
            checked += 1
    assert checked == 2 * 5 * 3 + 2 * 3


@pytest.fixture
def drawn(monkeypatch):
    """Figures give back their axes."""
    for module in (bounds, generalization, labels, ranking, results, volumes):
        monkeypatch.setattr(module, "finish", lambda axes, **names: axes)


def test_the_generalization_figure_shows_means_and_intervals(drawn, analysis):
    axes = generalization.generalization_plot(analysis)
    for line, bars, method in zip(axes.lines, axes.collections, analysis.methods, strict=True):
        rows = [analysis.row(scores.test_set, method, ALL_LABELS, "dice") for scores in analysis.scores]
        np.testing.assert_allclose(line.get_ydata(), [row["mean"] for row in rows])
        limits = [path.vertices[:, 1] for path in bars.get_paths()]
        np.testing.assert_allclose(limits, [[row["low"], row["high"]] for row in rows])


def test_changed_copies_of_a_test_set_are_drawn_by_severity(drawn, tmp_path):
    folder = make_run(tmp_path)
    with open(folder / "study.toml", "a") as file:
        file.write('[protocol.shifts]\nuint8 = "noise:3"\nabsent = "noise:4"\n')
    analysis = read_basis(folder)
    (axes,) = generalization.severity_plots(analysis)
    for line, bars, method in zip(axes.lines, axes.collections, analysis.methods, strict=True):
        rows = [analysis.row(name, method, ALL_LABELS, "dice") for name in ("in-domain", "uint8")]
        np.testing.assert_allclose(line.get_xdata(), [0, 3], atol=0.2)
        np.testing.assert_allclose(line.get_ydata(), [row["mean"] for row in rows])
        limits = [path.vertices[:, 1] for path in bars.get_paths()]
        np.testing.assert_allclose(limits, [[row["low"], row["high"]] for row in rows])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["unchanged", "3 (0.3)"]
    assert generalization.generalization_plot(analysis) is None


def test_the_oracle_figure_shows_means(drawn, analysis):
    lines = bounds.oracle_curve(analysis).lines
    for at, scores in enumerate(analysis.scores):
        expected = [analysis.row(scores.test_set, b, ALL_LABELS, "dice")["mean"] for b in analysis.bounds]
        np.testing.assert_allclose(lines[2 * at].get_ydata(), expected[:-1])
        np.testing.assert_allclose(lines[2 * at + 1].get_ydata(), expected[-1])


def test_the_volume_figure_shows_bias_and_limits(drawn, analysis):
    scores = analysis.scores[0]
    axes = volumes.agreement_plot(analysis, scores.test_set, agreement(analysis))
    rows = agreement(analysis)
    rows = rows[(rows["test_set"] == scores.test_set) & (rows["label"] == ALL_LABELS)].set_index("method")
    for line, bar, method in zip(axes.lines, axes.collections, analysis.methods, strict=False):
        assert line.get_xdata() == pytest.approx([rows.at[method, "bias_percent"]])
        expected = rows.loc[method, ["low_percent", "high_percent"]].tolist()
        assert bar.get_paths()[0].vertices[:, 0] == pytest.approx(expected)


def test_rank_figures_show_ranks(drawn, analysis):
    ranks = analysis.rankings[0]
    rows = analysis.comparisons
    rows = rows[(rows["label"] == ALL_LABELS) & (rows["metric"] == "dice") & (rows["test_set"] == ranks.test_set)]
    texts = {text.get_text() for text in ranking.critical_difference(ranks, rows).texts}
    best, middle, last = sorted(zip(ranks.mean_rank, ranks.methods, strict=True))
    assert {f"{best[1]}  {best[0]:.2f}", f"{middle[1]}  {middle[0]:.2f}", f"{last[0]:.2f}  {last[1]}"} <= texts
    areas = [dots.get_sizes() for dots in ranking.rank_plot(ranks).collections]
    np.testing.assert_allclose(np.array(areas) / 240, ranks.shares)


def test_long_names_fit_beside_the_axes(tmp_path):
    """Matplotlib warns, and so fails here, where labels leave no room for the axes."""
    names = {f"jlf[patch_radius={n},search_radius=1,alpha=0.01]": 0.8 + 0.02 * n for n in range(5)}
    analysis = read_basis(make_run(tmp_path, make_results(persons=3, methods=names, labels={1: "whole"})))
    scores, ranks, rows = analysis.scores[0], analysis.rankings[0], analysis.comparisons
    drawn = [
        generalization.generalization_plot(analysis),
        bounds.candidate_scatter(analysis, scores),
        volumes.agreement_plot(analysis, scores.test_set, agreement(analysis)),
        ranking.critical_difference(ranks, rows[rows["test_set"] == ranks.test_set]),
        results.dot_plot(analysis),
    ]
    assert all(picture.png for picture in drawn)
