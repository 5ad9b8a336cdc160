"""The study of a run as it was resolved."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from dlfbench.datasets.shifts import Shift
from dlfbench.plugin_files import without_folder

_FOLDERS = re.compile(r"(?:(?<=[\s=\[,'\"])|^)/(?:[^\s/\[\],'\"]+/)+(?=[^\s/])")  # of absolute paths among words


@dataclass(frozen=True)
class DescribedStudy:
    """A resolved study file, also one by an earlier build.

    Attributes:
        tables: As in the file.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As TOML."""
        return tomli_w.dumps(_without_none(self.tables))

    @property
    def name(self) -> str:
        """Empty where it has none."""
        return str(self.tables.get("name", ""))

    @property
    def seed(self) -> int:
        return int(self.tables.get("seed", 0))

    @property
    def dataset(self) -> str:
        """Folder or name; empty where it is not said."""
        return str(self.tables.get("data", {}).get("dataset", ""))

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """Parameters by method, in the order of the file; `use` is the plugin."""
        return dict(self.tables.get("methods", {}))

    @property
    def protocol(self) -> dict[str, Any]:
        return dict(self.tables.get("protocol", {}))

    @property
    def test_sets(self) -> dict[str, str]:
        """Rules of the named test sets."""
        return dict(self.protocol.get("test", {}))

    @property
    def shifts(self) -> dict[str, Shift]:
        """Test sets that are changed copies of others."""
        return {name: Shift(text) for name, text in self.protocol.get("shifts", {}).items()}

    @property
    def analysis(self) -> Mapping[str, Any] | None:
        """Table of what it sets out to show."""
        return self.tables.get("analysis")

    def without_folders(self) -> "DescribedStudy":
        """The same study with files and folders by their names alone, which say nothing of a machine."""
        return DescribedStudy(_without_folders(self.tables))


def same_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tables of a study say the same: what is None is not said, and tuples come back as lists.

    A file of code is the same wherever it is: what is in it counts in the keys of tasks.
    """
    plain = [json.loads(json.dumps(_without_none(table))) for table in (one, other)]
    uses = [without_folder(str(table.pop("use", ""))) for table in plain]
    return bool(plain[0] == plain[1] and uses[0] == uses[1])


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    return _named(value) if isinstance(value, str) else value


def _named(text: str) -> str:
    """A text without the folders of absolute paths: of all of it, of what KIND:SOURCE names, or within a command."""
    kind, _, source = text.partition(":")
    if "{" not in text and Path(text).is_absolute():
        return Path(text).name
    if "{" not in text and Path(source).is_absolute() and not source.startswith("//"):
        return f"{kind}:{Path(source).name}"
    return _FOLDERS.sub("", text)
