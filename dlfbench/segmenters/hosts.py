"""Label fusion methods that other methods build on, by name."""

from typing import Any

from dlfbench import plugins
from dlfbench.errors import InputError
from dlfbench.plugin_files import is_file
from dlfbench.segmenters.interface import FusionMethod, Segmenter
from dlfbench.segmenters.registry import known_methods, make_method, method_class
from dlfbench.segmenters.specs import parse_method


def host_named(text: str) -> FusionMethod:
    """The label fusion method of a text such as `mv` or `jlf[beta=4]`.

    Raises:
        ValueError: There is none of that name that needs no training.
    """
    name, settings = parse_method(text)
    use = str(settings.pop("use"))
    if not _is_host(_class_of(use)):
        # finding out which there are imports every plugin
        hosts = [plugin.name for plugin in known_methods() if _is_host(plugin.loaded)]
        raise ValueError(f"host: {plugins.unknown('label fusion method', use, hosts)}")
    method = make_method(name, use, settings).segmenter
    assert isinstance(method, FusionMethod)
    return method


def _class_of(use: str) -> type[Segmenter] | None:
    """A method's class; None where no method of that name can be used."""
    try:
        return method_class(plugins.load(plugins.SEGMENTERS, use), use)
    except InputError:
        if is_file(use):
            raise
        return None


def _is_host(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, FusionMethod) and not kind.needs_training
