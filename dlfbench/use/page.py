"""What was segmented, on one offline page: pictures, volumes, what to look at."""

import base64
from collections.abc import Sequence
from pathlib import Path

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.datasets.look.slices import colours_of, draw_slices
from dlfbench.files import write_whole
from dlfbench.images import read_labels
from dlfbench.metrics.expectation import LEVEL
from dlfbench.report.shown import format as say
from dlfbench.report.shown.templates import page_style, templates
from dlfbench.use.segmented import Segmented

MOST_PICTURES = 100


def write_page(path: Path, title: str, done: Sequence[tuple[Case, Segmented]], labels: LabelSet, told: str) -> None:
    """Writes the page.

    Args:
        path: The HTML file.
        title: What was done, by what.
        done: Each image and what came of it; those to look at come first on the page.
        labels: The study's.
        told: On what expected Dice rests.
    """
    environment = templates("dlfbench.use", ".")
    environment.filters |= {"zip": zip}
    ordered = sorted(done, key=lambda pair: _urgency(pair[1]))
    text = environment.get_template("page.html.j2").render(
        title=title,
        told=told,
        level=f"{LEVEL:.0%}",
        labels=labels,
        colours=colours_of(len(labels.foreground)),
        done=[one for _, one in ordered],
        pictures=[_picture(case, one, labels) for case, one in ordered[:MOST_PICTURES]],
        say=say,
        style=page_style(),
    )
    write_whole(path, lambda part: Path(part).write_text(text, encoding="utf-8"))


def _urgency(one: Segmented) -> tuple[bool, bool, float]:
    """Failed ones first, then those with flags, then by their lowest bound."""
    bounds = [q.bound for q in one.quality if q.bound == q.bound]
    return one.path is not None, not one.all_flags, min(bounds, default=0.0)


def _picture(case: Case, one: Segmented, labels: LabelSet) -> str:
    """The image's slices with the label map's borders, as a data URI; empty where there is no label map."""
    if one.path is None:
        return ""
    target = case.read_target()
    found, _ = read_labels(one.path)
    drawn = draw_slices(target.images, found, target.grid, labels.values)
    return f"data:image/webp;base64,{base64.b64encode(drawn).decode()}"
