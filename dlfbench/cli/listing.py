"""`dlfbench list` and `dlfbench doctor`."""

import inspect
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal

import typer

from dlfbench import plugins
from dlfbench.cli.console import out, print_table, size
from dlfbench.datasets.known import known_datasets
from dlfbench.datasets.readers import known_kinds
from dlfbench.engine.cluster import default_workers
from dlfbench.engine.work import library_versions
from dlfbench.hardware import fast_bfloat16
from dlfbench.metrics.known import METRICS, known_metric_plugins
from dlfbench.parameters import described
from dlfbench.registration.store import WarpStore, default_cache_folder
from dlfbench.segmenters.registry import known_methods
from dlfbench.study.tables import known_studies


def list_(
    what: Annotated[
        Literal["methods", "datasets", "readers", "registrations", "metrics", "sections", "studies"],
        typer.Argument(help="What to list."),
    ] = "methods",
) -> None:
    """Lists what there is of one kind; what is not available with the reason."""
    if what == "datasets":
        print_datasets()
    elif what == "readers":
        rows = [row for kind in known_kinds() for row in _reader_rows(*kind)]
        print_table("", ["kind of data", "option and default", "what it is"], rows)
    elif what == "metrics":
        more = [(p.name, f"not available: {p.reason}") for p in known_metric_plugins() if p.reason]
        print_table("", ["metric", "what it is"], [*((m.name, m.definition) for m in METRICS), *more])
    elif what == "sections":
        print_sections()
    elif what == "studies":
        print_table("", ["study", "what it asks"], known_studies().items())
    else:
        found = known_methods() if what == "methods" else plugins.plugins(plugins.REGISTRATIONS).values()
        rows = [
            (p.name, p.summary if not p.reason else f"not available: {p.reason}", _parameters(p.loaded)) for p in found
        ]
        print_table("", [what[:-1], "what it is", "parameters and defaults"], rows)


def _reader_rows(name: str, kind: Any, reason: str) -> Iterator[tuple[str, str, str]]:
    """A kind of data, and below it its options."""
    yield name, "", f"not available: {reason}" if reason else (inspect.getdoc(kind) or "").split("\n\n")[0]
    texts = described(kind)
    for option in fields(kind) if is_dataclass(kind) else ():
        yield "", f"{option.name}={_written(option.default)}", texts.get(option.name, "")


def _written(value: Any) -> str:
    """A default as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def print_datasets() -> None:
    """Prints the known datasets."""
    print_table(
        "",
        ["dataset", "what it is"],
        [
            (d.name, d.description if d.available else f"{d.description} (not here: {d.reason})")
            for d in known_datasets()
        ],
    )
    out.print("Any folder in the layout of the Medical Segmentation Decathlon or of nnU-Net can be given as well.")


def print_sections() -> None:
    """Prints the sections of a report, ours in the order of the page."""
    from dlfbench.report.section import known_section_plugins
    from dlfbench.report.sections import OWN_SECTIONS

    more = [(p.name, f"not available: {p.reason}" if p.reason else p.loaded.summary) for p in known_section_plugins()]
    print_table("", ["section", "what it is"], [*((s.name, s.summary) for s in OWN_SECTIONS), *more])


def doctor() -> None:
    """Says which versions, devices and plugins are there, what is missing, and how to install it."""
    from dlfbench.report.section import known_section_plugins

    print_table("", ["library", "version"], library_versions().items())
    out.print(
        f"\npython {platform.python_version()} on {platform.platform()}\n"
        f"processors {os.cpu_count()}, default workers {default_workers()}\n{_devices()}"
    )
    cache = default_cache_folder()
    info = WarpStore(cache).info()
    free = shutil.disk_usage(cache if cache.exists() else cache.anchor).free
    out.print(
        f"store of warped atlases {cache}: {info.entries} entries, {size(info.size_bytes)}, {size(free)} free\n",
        soft_wrap=True,
    )
    others = [plugins.plugins(group).values() for group in (plugins.REGISTRATIONS, plugins.DATASETS)]
    groups = (known_methods(), known_metric_plugins(), known_section_plugins(), *others)
    missing = [(p.name, p.reason) for found in groups for p in found if p.reason]
    if missing:
        print_table("Not available", ["plugin", "why, and what to do"], missing)
    else:
        out.print("All plugins are available.")


def _devices() -> str:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"GPUs: {', '.join(names)}"
    fast = "yes" if torch.backends.mkldnn.is_available() and fast_bfloat16() else "no"
    return f"GPUs: none that PyTorch can use; fast bfloat16 on the CPU (AMX): {fast}"


def _parameters(kind: Any) -> str:
    if not is_dataclass(kind):
        return ""
    return ", ".join(f"{field.name}={field.default!r}" for field in fields(kind) if field.init)
