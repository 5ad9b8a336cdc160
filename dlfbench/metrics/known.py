"""Every metric there is: ours, and those of plugins."""

from dataclasses import fields, replace

from dlfbench import plugins
from dlfbench.metrics.definitions import OWN_METRICS, LabelScore, Metric


def known_metric_plugins() -> list[plugins.Plugin]:
    """Metrics of the entry point group `dlfbench.metrics`, with the reason where one cannot be used."""
    return [_checked(plugin) for plugin in plugins.plugins(plugins.METRICS).values()]


def _checked(plugin: plugins.Plugin) -> plugins.Plugin:
    taken = {field.name for field in fields(LabelScore)}
    reason = plugin.reason
    if not reason and not isinstance(plugin.loaded, Metric):
        reason = f"expected a dlfbench.Metric, found {type(plugin.loaded).__name__}"
    elif not reason and (plugin.loaded.name != plugin.name or not plugin.name.isidentifier() or plugin.name in taken):
        reason = f"its name, {plugin.loaded.name!r}, must be that of its entry point, and of no other column"
    return replace(plugin, loaded=None, reason=reason) if reason else plugin


MORE_METRICS: tuple[Metric, ...] = tuple(plugin.loaded for plugin in known_metric_plugins() if not plugin.reason)
METRICS = (*OWN_METRICS, *MORE_METRICS)
