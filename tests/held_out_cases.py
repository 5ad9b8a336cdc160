"""Training cases among others, and a method that notes whom it knows, for methods that ask about cases held out."""

import json
from dataclasses import dataclass, field, replace

import numpy as np

from dlfbench.segmenters.contract.scene import SceneCase
from dlfbench.segmenters.interface import Segmenter
from dlfbench.volumes import Segmentation


class CaseAmongOthers(SceneCase):
    """A training case whose atlases are the other training cases, as in a study."""

    def read_atlases(self):
        others = [number for number in range(1, 5) if number != self.number]
        found = self.sample.atlas_set(range(1, 5)).some(np.array(others) - 1)
        return replace(found, names=tuple(f"train{number:02d}" for number in others))


@dataclass(frozen=True)
class Spy(Segmenter):
    """Notes whom it learned from, by whose atlases, and whom it is asked about."""

    asked: list[tuple[str, frozenset[str], frozenset[str]]] = field(default_factory=list)

    def fit(self, training, context):
        atlases = {name for case in training.cases for name in case.read_atlases().names}
        seen = [[case.name for case in training.cases], sorted(atlases)]
        (context.folder / "seen.json").write_text(json.dumps(seen))
        context.progress(0.5, "half")

    def segment(self, target, atlases, context):
        learned, used = json.loads((context.folder / "seen.json").read_text())
        self.asked.append((target.name, frozenset(learned), frozenset(used)))
        return Segmentation(atlases.labels[0])
