"""A method within another method: the method itself, and its context."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dlfbench.segmenters.interface import Context, Segmenter
from dlfbench.segmenters.registry import make_method
from dlfbench.segmenters.specs import parse_method


def host_of(text: str, preset: str, **settings: Any) -> Segmenter:
    """The method of a text such as `unet[steps=300]`, with further settings; the preset where it has one."""
    name, table = parse_method(text)
    return make_method(name, str(table.pop("use")), table | settings, preset=preset).segmenter


def within(context: Context, folder: Path) -> Context:
    """The context of a method that is trained inside; models of the whole training set are none of its business."""
    folder.mkdir(parents=True, exist_ok=True)
    return replace(context, folder=folder, members={})


def part_of(context: Context, number: int, count: int, said: str = "") -> Context:
    """The context of step `number` of `count`: its progress is a part of the whole."""
    return replace(context, progress=lambda share, text: context.progress((number + share) / count, said + text))
