"""A method trained once without each part of the people."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.fusion.posterior import Posterior
from dlfbench.segmenters.contract.scene import LABEL_VALUES, Scene
from dlfbench.segmenters.held_out import WithoutAtlases
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import Segmentation
from dlfbench_baselines.cv_ensemble import CrossValidationEnsemble
from held_out_cases import CaseAmongOthers, Spy


@dataclass(frozen=True)
class Unsure(Segmenter):
    """Gives label 1 a share that differs from training to training, and notes the seeds."""

    shares: tuple[float, ...] = (0.9, 0.2)
    seeds: list[int] = field(default_factory=list)

    def fit(self, training, context):
        self.seeds.append(context.seed)
        (context.folder / "share").write_text(str(self.shares[len(self.seeds) - 1]))

    def segment(self, target, atlases, context):
        share = float((context.folder / "share").read_text())
        shares = np.zeros((len(atlases.label_values), *target.grid.shape), np.float32)
        shares[0], shares[1] = 1 - share, share
        posterior = Posterior.of_dense(shares, atlases.label_values)
        return Segmentation(posterior.labels(), posterior)


def of(host: Segmenter, folds: int) -> CrossValidationEnsemble:
    ours = CrossValidationEnsemble(folds=folds)
    vars(ours)["method"] = host
    return ours


@pytest.fixture
def training(tmp_path: Path) -> Training:
    cases = [CaseAmongOthers(Scene(), number, tmp_path) for number in range(1, 5)]
    return Training(cases, LABEL_VALUES, ("m0",))


def test_each_training_lacks_one_part_of_the_people_also_as_atlases(training: Training, tmp_path: Path):
    context = Context(tmp_path / "model")
    of(Spy(), 4).fit(training, context)
    seen = [json.loads(path.read_text()) for path in sorted(context.folder.glob("*/seen.json"))]
    everybody = {case.name for case in training.cases}
    assert [everybody - set(learned) for learned, _ in seen] == [{f"train0{number}"} for number in range(1, 5)]
    assert all(set(used) <= set(learned) for learned, used in seen)


def test_a_case_whose_atlases_all_are_left_out_is_named(training: Training):
    case = WithoutAtlases(training.cases[0], frozenset(other.name for other in training.cases))
    with pytest.raises(ValueError, match="case train01: all of its 3 atlases are of people who are left out"):
        case.read_atlases()


def test_posteriors_are_averaged(training: Training, tmp_path: Path):
    ours, context = of(Unsure(), 2), Context(tmp_path / "model", seed=7)
    ours.fit(training, context)
    found = ours.segment(Scene().target(), Scene().atlas_set(), context)
    assert np.allclose(found.shares(LABEL_VALUES).dense()[1], 0.55, atol=1e-3)
    assert ours.method.seeds == [7, 8]


def test_an_interrupted_fit_trains_only_what_is_left(training: Training, tmp_path: Path):
    ours, context = of(Unsure(shares=(0.9,)), 2), Context(tmp_path / "model")
    with pytest.raises(IndexError):
        ours.fit(training, context)  # the second training stops
    again = of(Unsure(shares=(0.4,)), 2)
    again.fit(training, context)
    assert [float(path.read_text()) for path in sorted(context.folder.glob("*/share"))] == [0.9, 0.4]


def test_progress_only_goes_on(training: Training, tmp_path: Path):
    shares: list[float] = []
    of(Spy(), 2).fit(training, Context(tmp_path / "model", progress=lambda share, text: shares.append(share)))
    assert shares == [0.25, 0.75]


def test_it_needs_what_its_host_needs():
    ours = make_method("ours", "cv_ensemble", {"host": "dlf"}, preset="quick").segmenter
    assert (ours.needs_atlases, ours.trains_on_atlases) == (True, True)
    assert ours.method.preset == "quick"
    ours = make_method("ours", "cv_ensemble", {"host": "unet[steps=3]"}).segmenter
    assert (ours.needs_atlases, ours.method.steps) == (False, 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"host": "jlf"}, "a method that trains"), ({"folds": 1}, "2 or more"), ({"host": "nnumet"}, "nnunet")],
)
def test_what_makes_no_ensemble_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        make_method("ours", "cv_ensemble", settings)


def test_fewer_people_than_folds_are_refused(training: Training, tmp_path: Path):
    with pytest.raises(ValueError, match="expected 5 people or more in the training set"):
        of(Spy(), 5).fit(training, Context(tmp_path / "model"))
