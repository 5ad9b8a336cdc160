"""The table of claims in reports/README.md: declared in the study files, judged on the published results.

python -m benchmarks.claims_table            # writes it
python -m benchmarks.claims_table --check    # fails where the page says otherwise
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dlfbench.records.folder import RunFolder
from dlfbench.records.record import read_record
from dlfbench.report.basis.claims import judge_claims
from dlfbench.report.basis.scores import arrange_record
from dlfbench.report.shown import format as say
from dlfbench.study.claims import DeclaredAnalysis
from dlfbench.study.tables import known_studies, read_study

REPORTS = Path(__file__).resolve().parents[1] / "reports"
START, END = "<!-- claims: written by benchmarks/claims_table.py -->", "<!-- end of claims -->"
_HEAD = ("study", "claim", "test set", "n", "difference (95% CI)", "p [after Holm]", "verdict")


def published_claims() -> Iterator[tuple[str, pd.DataFrame]]:
    """Every published study with a declared analysis: its name, and its claims judged."""
    for name in known_studies():
        analysis = read_study(name).analysis
        if analysis is not None and RunFolder(REPORTS / name).results_file.is_file():
            yield name, _judged(analysis, REPORTS / name)


def _judged(analysis: DeclaredAnalysis, folder: Path) -> pd.DataFrame:
    record = read_record(folder)
    scores = [arrange_record(record, name, record.methods) for name in record.test_sets]
    return judge_claims(analysis, scores)


def table() -> str:
    """The table as Markdown."""
    lines: list[tuple[str, ...]] = [_HEAD, (":--",) * 3 + ("--:",) + (":--",) * 3]
    for study, judged in published_claims():
        lines += [_line(study, row) for _, row in judged.iterrows()]
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{START}\n{rows}{END}"


def _line(study: str, row: pd.Series) -> tuple[str, ...]:
    difference = say.number(row["difference"], row["metric"], signed=True)
    limits = say.limits(row["low"], row["high"], row["metric"], signed=True)
    p = f"{say.p_value(row['p'])} [{say.p_value(row['p_holm'])}]"
    about = (f"[{study}]({study}/README.md)", f"`{row['claim']}`", str(row["test_set"]), str(row["persons"]))
    return (*about, f"{difference} ({limits})", p, str(row["verdict"]))


def with_block(text: str, block: str, start: str, end: str) -> str:
    """A page with a block, from its first line `start` to its last line `end`, in place of the one there."""
    before, rest = text.split(start)
    return f"{before}{block}{rest.split(end)[1]}"


def main() -> None:
    """Writes the table into the page, or checks it."""
    page = REPORTS / "README.md"
    text = page.read_text(encoding="utf-8")
    made = with_block(text, table(), START, END)
    if "--check" in sys.argv and made != text:
        sys.exit(f"{page}: the claims differ from the published results; run python -m benchmarks.claims_table")
    page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
