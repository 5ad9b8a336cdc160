"""What gave no result, and why."""

from dlfbench.report.basis.basis import Basis
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table

_COLUMNS = ("method", "test_set", "case", "fold", "status", "reason")


def make(basis: Basis) -> Content:
    """How many results there are not, and every one of them."""
    return Content(
        text=[gaps(basis), *failed(basis)], frames={"failures": basis.failures}, shown={"table": failure_table(basis)}
    )


COMPLETENESS = Section(name="completeness", title="Completeness", make=make, folded=True)


def gaps(basis: Basis) -> str:
    """How many results there are not, by what became of them."""
    counts = basis.failures["status"].value_counts()
    said = {"failed": "{} failed", "missing": "{} not run yet"}
    parts = [said.get(str(status), "{} " + str(status)).format(count) for status, count in counts.items()]
    if not parts:
        return "Every method gave a result for every planned case."
    missing = say.count(int(counts.sum()), "result")
    return (
        f"{missing} missing: {', '.join(parts)}. Means are over the cases that have a result; methods with gaps are "
        "not ranked."
    )


def failed(basis: Basis) -> list[str]:
    """The metrics of plugins that failed, each with what it raised first."""
    return [
        f"The metric {metric.name} failed in {metric.failed} of {metric.tried} scores ({metric.reason}) and is left "
        "out everywhere: mend it and start the same command again; only scores are made anew."
        for metric in basis.failed_metrics
    ]


def failure_table(basis: Basis) -> Table:
    """One row per method, test set, case and fold."""
    rows = tuple(tuple(Cell(str(row[name])) for name in _COLUMNS) for _, row in basis.failures.iterrows())
    columns = tuple(name.replace("_", " ") for name in _COLUMNS)
    filters = ("method", "test set")
    return Table(title="Without a result", columns=columns, rows=rows, text_columns=6, filters=filters)
