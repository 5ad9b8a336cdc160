"""What the benchmarks of speed call is there, as they call it."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "benchmarks" / "speed").glob("*.py") if path.stem != "__main__")


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_can_be_imported(name):
    importlib.import_module(f"benchmarks.speed.{name}")


def test_a_step_and_a_segmentation_of_deep_label_fusion_run(monkeypatch):
    module = importlib.import_module("benchmarks.speed.training_step")
    monkeypatch.setattr(module, "LARGE_VOX", (16, 16, 16))
    monkeypatch.setattr(module, "MANY_ATLASES", 2)
    module._large_step()()
    module._large_segmentation()()
