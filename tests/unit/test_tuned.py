"""Settings that are chosen on training cases, by methods that do not know them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN
from dlfbench.segmenters.contract.scene import LABEL_VALUES, Scene
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import Segmentation
from dlfbench_baselines.tuned import Tuned
from held_out_cases import CaseAmongOthers, Spy


@dataclass(frozen=True)
class Says(Segmenter):
    """Segments as it is told to, and notes whom it is asked about."""

    needs_atlases = True

    answer: Callable = field(default=lambda reference: reference)
    asked: list[str] = field(default_factory=list)

    def segment(self, target, atlases, context):
        self.asked.append(target.name)
        number = int(target.name.removeprefix("train"))
        return Segmentation(self.answer(Scene().atlas_set(range(number, number + 1)).labels[0]))


def tuned(**settings: Segmenter) -> Tuned:
    ours = Tuned()
    vars(ours)["settings"] = settings
    return ours


@pytest.fixture
def training(tmp_path: Path) -> Training:
    cases = [CaseAmongOthers(Scene(), number, tmp_path) for number in range(1, 5)]
    return Training(cases, LABEL_VALUES, ("m0",))


def half_of_one(labels):
    """Every second voxel of label 1, and all of label 4: Dice of 2/3 and 1."""
    places = np.flatnonzero(labels == 1)
    found = labels.copy()
    found.ravel()[places[: len(places) // 2]] = 0
    return found


def test_the_best_on_the_training_cases_is_chosen(training: Training, tmp_path: Path):
    worse, better, as_good = Says(np.zeros_like), Says(half_of_one), Says(half_of_one)
    ours = tuned(**{"as it is": worse, "b=1": better, "b=2": as_good})
    context = Context(tmp_path / "model")
    ours.fit(training, context)
    assert better.asked == [case.name for case in training.cases]
    told = dict(line.split(",") for line in (context.folder / "tried.csv").read_text().splitlines()[1:])
    assert list(told) == ["as it is", "b=1", "b=2"]
    assert float(told["as it is"]) == 0
    halves = [np.sum(one == 1) for one in Scene().atlas_set(range(1, 5)).labels]
    expected = np.mean([(1 + 2 * (n - n // 2) / (n + n - n // 2)) / 2 for n in halves])
    assert float(told["b=1"]) == pytest.approx(expected)
    ours.segment(replace(Scene().target(), name="train01"), Scene().atlas_set(), context)
    assert (len(worse.asked), len(better.asked), len(as_good.asked)) == (4, 5, 4)  # the first of the best


def test_an_interrupted_fit_goes_on(training: Training, tmp_path: Path):
    done, left = Says(), Says(half_of_one)
    ours = tuned(**{"as it is": done, "b=1": left})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tried.csv").write_text("settings,dice\nas it is,0.5\n")
    ours.fit(training, Context(tmp_path / "model"))
    assert (len(done.asked), len(left.asked)) == (0, 4)


def test_a_method_that_learns_is_asked_about_people_whom_it_does_not_know(training: Training, tmp_path: Path):
    host = Spy()
    shares: list[float] = []
    ours = tuned(**{"as it is": host})
    context = Context(tmp_path / "model", progress=lambda share, text: shares.append(share))
    ours.fit(training, context)
    assert shares == sorted(shares)
    assert shares[-1] < 1
    assert sorted(name for name, _, _ in host.asked) == [f"train{number:02d}" for number in range(1, 5)]
    for name, learned, used in host.asked:
        assert len(learned) == 2
        assert name not in learned | used
    assert not (context.folder / "trial").exists()
    ours.segment(Scene().target(), Scene().atlas_set(), context)
    assert len(host.asked[-1][1]) == 4  # those that segment know the whole training set


def test_what_nobody_drew_counts_nowhere(training: Training, tmp_path: Path):
    class InPart(CaseAmongOthers):
        undrawn = (4,)

        def read_reference(self):
            found = np.array(super().read_reference())
            found[: found.shape[0] // 2] = UNKNOWN
            return found

    def wrong_where_unknown(labels):
        found = np.where(labels == 4, 0, labels)
        found[: found.shape[0] // 2] = 1
        return found

    cases = [InPart(Scene(), number, tmp_path) for number in range(1, 5)]
    tuned(**{"as it is": Says(wrong_where_unknown)}).fit(replace(training, cases=cases), Context(tmp_path / "model"))
    assert (tmp_path / "model" / "tried.csv").read_text().splitlines()[1] == "as it is,1.0"


def test_all_combinations_are_tried_none_twice():
    ours = Tuned("jlf[beta=4]", "alpha=0.1 | 1;beta=2|4")
    assert list(ours.settings) == ["as it is", "alpha=0.1, beta=2", "alpha=1, beta=2", "alpha=1, beta=4"]
    made = ours.settings["alpha=1, beta=2"]
    assert (made.alpha, made.beta) == (1, 2)
    assert len(Tuned().settings) == 9  # joint label fusion's own are among them


def test_it_needs_what_its_host_needs():
    fusing, learning = Tuned(), Tuned("unet", "steps=5|10", preset="quick")
    assert (fusing.needs_atlases, fusing.needs_training, fusing.trains_on_atlases, fusing.uses_gpu) == (
        *(True, True, True),
        False,
    )
    assert (learning.needs_atlases, learning.trains_on_atlases, learning.uses_gpu) == (False, False, True)
    assert (fusing.learns_from_partial, learning.learns_from_partial) == (True, learning.parts[0].learns_from_partial)
    assert {part.preset for part in learning.parts} == {"quick"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "nothing"}, "unknown method 'nothing'"),
        ({"grid": "alpha"}, "expected PARAMETER=VALUE"),
        ({"grid": "alpha=1|"}, "expected PARAMETER=VALUE"),
        ({"grid": "alpha=1;alpha=2"}, "'alpha' stands twice"),
        ({"grid": "gamma=1|2"}, "gamma"),
        ({"grid": "alpha=0.1|-1"}, "alpha and beta: expected more than 0"),
    ],
)
def test_what_cannot_be_tried_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        make_method("ours", "tuned", settings)
