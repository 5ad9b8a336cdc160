"""What is deprecated warns, works, and is gone when it was said to go."""

from importlib import metadata

import pytest
from packaging.version import Version

import dlfbench
from dlfbench import deprecations
from dlfbench.deprecations import Deprecation


def overdue(version: str) -> list[str]:
    return [one.what for one in deprecations.every() if Version(one.gone_in) <= Version(version)]


def test_nothing_is_kept_longer_than_was_said():
    assert overdue(metadata.version("dlfbench")) == []


def test_an_old_name_warns_and_gives_the_new_one(monkeypatch):
    old = Deprecation("dlfbench.LabelMap", "dlfbench.Segmentation", since="0.1", gone_in="0.3")
    monkeypatch.setitem(deprecations.NAMES, "LabelMap", old)
    with pytest.warns(DeprecationWarning, match=r"gone in 0\.3: use dlfbench\.Segmentation"):
        assert dlfbench.LabelMap is dlfbench.Segmentation
    assert overdue("0.3.0") == ["dlfbench.LabelMap"]


def test_every_public_name_is_there():
    assert all(getattr(dlfbench, name) is not None for name in dlfbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dlfbench.nothing
