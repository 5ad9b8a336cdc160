"""Every metric there is: ours, and those of plugins."""

import inspect
from dataclasses import fields, replace
from pathlib import Path

from dlfbench import plugins
from dlfbench.datasets.digests import digest, digest_file
from dlfbench.errors import InputError
from dlfbench.metrics.definitions import OWN_METRICS, LabelScore, Metric
from dlfbench.metrics.named import named_metrics
from dlfbench.plugin_files import load_file
from dlfbench.plugin_imports import PREFIX

TAKEN_NAMES = frozenset(field.name for field in fields(LabelScore)) | {
    *("method", "kind", "fold", "test_set", "case", "person", "label_name", "status", "reason"),
    *("bound", "atlas", "calibration"),
}
"""Names that no metric of a plugin may have: other columns of the results, and of what they are collected from."""


def known_metric_plugins() -> list[plugins.Plugin]:
    """Metrics of the entry point group `dlfbench.metrics`, with the reason where one cannot be used."""
    return [_checked(plugin) for plugin in plugins.plugins(plugins.METRICS).values()]


def _checked(plugin: plugins.Plugin) -> plugins.Plugin:
    reason = plugin.reason
    if not reason and not isinstance(plugin.loaded, Metric):
        reason = f"expected a dlfbench.Metric, found {type(plugin.loaded).__name__}"
    elif not reason and (
        plugin.loaded.name != plugin.name or not plugin.name.isidentifier() or plugin.name in TAKEN_NAMES
    ):
        reason = f"its name, {plugin.loaded.name!r}, must be that of its entry point, and of no other column"
    return replace(plugin, loaded=None, reason=reason) if reason else plugin


def _of_files(installed: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """The metrics that `--metrics` names.

    Raises:
        InputError: One cannot be used; every problem at once.
    """
    taken = TAKEN_NAMES | {metric.name for metric in installed}
    found: list[Metric] = []
    problems: list[str] = []
    for use in named_metrics():
        metric = load_file(use)
        if not isinstance(metric, Metric):
            problems.append(f"--metrics {use}: expected a dlfbench.Metric, found {type(metric).__name__}")
        elif not metric.name.isidentifier() or metric.name in taken:
            problems.append(f"--metrics {use}: {metric.name!r} is no name for a column, or another's; give another")
        else:
            found.append(metric)
            taken |= {metric.name}
    if problems:
        raise InputError(problems)
    return tuple(found)


def signature(metric: Metric) -> str:
    """Of what a metric is and of the file that defines it: values of another one are not its values."""
    about = (metric.title, metric.unit, metric.higher_is_better, metric.absolute, metric.best)
    module = inspect.getmodule(metric.value)
    name = module.__name__ if module else ""  # of a file's module it holds a digest of what it imports, too
    file = module.__file__ if module and not name.startswith(PREFIX) else None
    return digest(*about, name, digest_file(Path(file)) if file else "")


_INSTALLED: tuple[Metric, ...] = tuple(plugin.loaded for plugin in known_metric_plugins() if not plugin.reason)
MORE_METRICS = (*_INSTALLED, *_of_files(_INSTALLED))
METRICS = (*OWN_METRICS, *MORE_METRICS)
