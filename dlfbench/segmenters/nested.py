"""The context of a method within another method."""

from dataclasses import replace
from pathlib import Path

from dlfbench.segmenters.interface import Context


def within(context: Context, folder: Path) -> Context:
    """The context of a method that is trained inside; models of the whole training set are none of its business."""
    folder.mkdir(parents=True, exist_ok=True)
    return replace(context, folder=folder, members={})


def part_of(context: Context, number: int, count: int, said: str = "") -> Context:
    """The context of step `number` of `count`: its progress is a part of the whole."""
    return replace(context, progress=lambda share, text: context.progress((number + share) / count, said + text))
