"""The page: one offline HTML file."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.look.figures import group_colours, intensity_figures, volume_figure
from dlfbench.datasets.look.measure import CaseFacts, measure, spacing_text
from dlfbench.datasets.look.slices import colours_of
from dlfbench.files import write_whole
from dlfbench.report.shown.templates import page_style, templates
from dlfbench.wording import few

_MOST_CASES = 240  # shown in slices
_MOST_LINES = 40
_FEW_NAMES = 6


def write_look(dataset: Dataset, out: Path, progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Measures and draws every case, and writes the page.

    Args:
        dataset: An opened data set.
        out: The HTML file.
        progress: Told of cases done and cases in all.

    Returns:
        What stands out, a line a finding.

    Raises:
        InputError: An image or label map cannot be read.
    """
    facts = measure(dataset, progress)
    lines = (*_findings(facts), *_import_flags(dataset))
    text = _render(dataset, facts, lines)
    write_whole(out, lambda part: Path(part).write_text(text, encoding="utf-8"))
    return lines


def _render(dataset: Dataset, found: Sequence[CaseFacts], lines: Sequence[str]) -> str:
    environment = templates("dlfbench.datasets.look", ".")
    environment.filters |= {"data_uri": _data_uri, "zip": zip}
    shown = _shown(found)
    return environment.get_template("look.html.j2").render(
        dataset=dataset,
        found=found,
        shown=shown,
        lines=lines[:_MOST_LINES],
        more=max(0, len(lines) - _MOST_LINES),
        style=page_style(),
        facts=_facts(dataset, found),
        groups=group_colours(found),
        colours=colours_of(len(dataset.labels.foreground)),
        volumes=volume_figure(dataset, found),
        intensities=intensity_figures(dataset, found),
        grids=_grids(found),
    )


def _facts(dataset: Dataset, found: Sequence[CaseFacts]) -> list[tuple[str, str]]:
    return [
        ("What", dataset.description or "not said"),
        ("Cases", str(len(found))),
        ("People", dataset.people_in_words),
        ("Modalities", ", ".join(dataset.modalities)),
        ("Labels", str(len(dataset.labels.foreground))),
        ("Columns", ", ".join(dataset.columns) or "none"),
    ]


def _grids(found: Sequence[CaseFacts]) -> list[tuple[str, str, str, int, str]]:
    """Voxel size, orientation, shapes, how many cases, and which where they are few; the most frequent first."""
    counts = Counter((spacing_text(facts.spacing_mm), facts.orientation) for facts in found)
    rows = []
    for (spacing, orientation), n in counts.most_common():
        here = [f for f in found if (spacing_text(f.spacing_mm), f.orientation) == (spacing, orientation)]
        ends = [[pick(sizes) for sizes in zip(*(f.shape for f in here), strict=True)] for pick in (min, max)]
        shapes = ["x".join(map(str, end)) for end in ends]
        names = ", ".join(f.case.name for f in here[:4]) + (", ..." if n > 4 else "")
        rows.append((spacing, orientation, " to ".join(dict.fromkeys(shapes)), n, names))
    return rows


def _shown(found: Sequence[CaseFacts]) -> list[CaseFacts]:
    """Those that stand out first; of very many, the others at even steps."""
    marked = [facts for facts in found if facts.marks]
    rest = [facts for facts in found if not facts.marks]
    room = max(_MOST_CASES - len(marked), 12)
    step = -(-len(rest) // room) if rest else 1
    return marked + rest[::step]


def _findings(found: Sequence[CaseFacts]) -> list[str]:
    """A line for everything that stands out, with the cases that have it in common."""
    cases: dict[str, list[str]] = {}
    for facts in found:
        for mark in facts.marks:
            cases.setdefault(mark, []).append(facts.case.name)
    return [f"{few(names, _FEW_NAMES)}: {mark}" for mark, names in cases.items()]


def _import_flags(dataset: Dataset) -> tuple[str, ...]:
    """What looked wrong when modalities were brought onto one grid, where the data set was imported."""
    history = dataset.cases[0].images[0].parents[1] / "import.json"
    if not history.is_file():
        return ()
    cases: dict[str, Any] = json.loads(history.read_text(encoding="utf-8"))["cases"]
    return tuple(
        f"{case}: {modality} {flag}"
        for case, done in cases.items()
        for modality, how in done.items()
        for flag in how["flags"]
    )


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
