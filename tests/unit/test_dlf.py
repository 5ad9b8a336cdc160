"""Deep label fusion: the networks' parts by hand, and the method on a toy."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dlfbench.dlf.corrections import learn_corrections
from dlfbench.dlf.explain import explain
from dlfbench.dlf.model import DeepLabelFusion, plain_consensus
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.dlf.votes import Parts, label_mask, shares
from dlfbench.dlf.voting import VotingNetwork
from dlfbench.errors import InputError
from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.boosted_trees import BoostedTrees
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN
from dlfbench.networks.posteriors import scores_to_posterior
from dlfbench.networks.samples import Geometry, Sample, make_sample, to_tensors
from dlfbench.networks.tiles import Room
from dlfbench.networks.unet import Architecture, Head, level_strides
from dlfbench.segmenters.interface import Context, Training
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import AtlasSet
from scenes import Case, scene

SMALL = Geometry((2, 2, 2), (8, 8, 8))
STRIDES = level_strides((1, 1, 1), 4)


def stump(low: float, high: float) -> BoostedTrees:
    """One question: is the voxel's intensity above that of most?"""
    feature = 3 + 3 + 62  # after the place and the shares of three labels, the middle of 5x5x5
    number = partial(np.array, dtype=np.int64)
    return BoostedTrees(
        np.zeros(1), number([0]), number([feature, -1, -1]), np.array([0.2, 0, 0]), number([1, 0, 0]),
        number([2, 0, 0]), np.array([0, low, high]),
    )  # fmt: skip


BY_CONTRAST = [stump(1.0, -1.0), stump(-1.0, 1.0)]


def model(parts: Parts | None = None, *, learned: bool = True) -> DeepLabelFusion:
    """With heads drawn at random, as if it had learned; they start at 0."""
    torch.manual_seed(0)
    network = DeepLabelFusion(1, 3, Architecture(4, STRIDES, blocks=True), parts or Parts()).eval()
    heads = [module.classify for module in network.modules() if isinstance(module, Head | VotingNetwork)]
    for head in heads if learned else ():
        torch.nn.init.normal_(head.weight, std=0.3)
    network.part.fill_(0.5 if learned else 0.0)
    if learned and network.parts.corrections:
        network.trees = [BY_CONTRAST[label % 2] for label in range(3)]
    return network


ROOM = Room(2048, 4)


class AtATime(Room):
    """Memory for so many atlases."""

    def __init__(self, atlases: int) -> None:
        super().__init__(2048, 4)
        object.__setattr__(self, "many", atlases)

    def atlases(self, shape: Sequence[int], classes: int) -> int:
        return self.many


def scores(network: DeepLabelFusion, sample: Sample, *, at_a_time: int) -> np.ndarray:
    with torch.no_grad():
        return network.predict(sample, AtATime(at_a_time)).dense()


def test_before_it_learns_the_vote_is_the_host_s() -> None:
    target, atlases, _ = scene(1)
    sample = make_sample(target, atlases, SMALL)
    found = scores(model(Parts(corrections=False, fine_tuning=False, mask=False), learned=False), sample, at_a_time=3)
    share = np.stack([(sample.votes.dense()[:, k] > 0).mean(axis=0) for k in range(3)])
    assert np.abs(sample.region.inner(found - share)).max() < 1e-6


def test_an_atlas_that_ends_before_a_voxel_has_no_vote_there() -> None:
    target, atlases, _ = scene(1)
    labels = atlases.labels.copy()
    labels[0, :7] = UNKNOWN
    sample = make_sample(target, replace(atlases, labels=labels), SMALL)
    inner = sample.region.inner
    ended = inner(sample.votes.dense())[0].sum(axis=0) == 0
    assert 0.1 < ended.mean() < 0.9
    found = scores(model(Parts(corrections=False, fine_tuning=False, mask=False), learned=False), sample, at_a_time=2)
    others = inner(sample.votes.dense())[1:].mean(axis=0)
    assert np.allclose(inner(found)[:, ended], others[:, ended], atol=1e-6)


def test_the_image_network_sees_no_votes() -> None:
    sample = make_sample(*scene(5)[:2], SMALL)
    network = model(Parts(voting=False, corrections=False, mask=False))
    other = replace(sample, votes=AtlasVotes.of(sample.votes.dense()[:, ::-1]))
    with torch.no_grad():
        assert np.array_equal(network.own(sample, ROOM).dense(), network.own(other, ROOM).dense())
        network.fine_tuning.mirror_axis = 0
        turned = replace(sample, target=sample.target[:, ::-1].copy())
        one, two = (network.own(each, ROOM).dense() for each in (sample, turned))
        assert np.allclose(one, two[:, ::-1], atol=1e-5)


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_a_part_of_the_image_network_s_log_odds_is_added_to_the_vote_s(part: float) -> None:
    sample = make_sample(*scene(5)[:2], SMALL)
    network = model(Parts(voting=False, corrections=False, mask=False))
    network.part.fill_(part)
    seen, share = to_tensors(sample), plain_consensus(sample)[0].numpy()
    with torch.no_grad():
        volume = torch.cat([seen.target, seen.coordinates], dim=1)
        own = network.fine_tuning.unet(volume)[0].softmax(dim=1).numpy()[0]
    odds = share.clip(0.01) * own.clip(0.01) ** part if part else share
    found = sample.region.inner(scores(network, sample, at_a_time=2) - odds / odds.sum(axis=0).clip(1e-9))
    assert np.abs(found).max() < 1e-4


def test_a_vote_counts_by_its_factor() -> None:
    sample = make_sample(*scene(4)[:2], SMALL)
    network, seen = model(Parts(corrections=False, fine_tuning=False, mask=False)), to_tensors(sample)
    with torch.no_grad():
        factors = network.voting.weights(seen, plain_consensus(sample))[0].numpy()
    by_hand = sample.region.inner((factors * sample.votes.dense()).sum(axis=0))
    found = sample.region.inner(scores(network, sample, at_a_time=2))
    assert np.abs(found - by_hand / by_hand.sum(axis=0)).max() < 1e-5
    assert factors.min() >= np.exp(-3)
    assert factors.max() <= np.exp(3)
    assert factors.std() > 0


def test_in_use_the_consensus_is_that_of_training() -> None:
    target, atlases, _ = scene(4)
    labels = atlases.labels.copy()
    labels[0, :7] = UNKNOWN
    sample = make_sample(target, replace(atlases, labels=labels), Geometry((2, 2, 2), (8, 8, 8), (32, 16, 24)))
    votes = sample.votes.dense()
    votes[1, 1] *= -0.5  # below nothing, as joint label fusion may give them
    votes[:, 2, 5] = 0
    sample, network = replace(sample, votes=AtlasVotes.of(votes)), model().voting
    with torch.no_grad():
        expected = network(to_tensors(sample))[0].scores[0].numpy()
        found = network.consensus(sample, AtATime(3)).dense()
    nobody = expected.sum(axis=0) == 0
    assert 0.1 < nobody.mean() < 0.9
    assert np.abs(found - expected)[:, ~nobody].max() < 1e-5
    assert (found[0, nobody] == 1).all()


def test_labels_without_a_vote_are_left_out_and_change_nothing() -> None:
    sample = make_sample(*scene(1)[:2], SMALL)
    votes = sample.votes.dense()
    votes[:, 2] = 0
    votes[1, 1] *= -1  # a vote below nothing counts against those of other atlases
    seen, network = to_tensors(replace(sample, votes=AtlasVotes.of(votes))), model().voting
    plain = shares(seen.votes.sum(dim=1))
    with torch.no_grad():
        expected = (network.weights(seen, plain) * seen.votes).sum(dim=1)
        assert torch.equal(network.weighed(seen, plain), expected)
    assert (expected[:, 1] < 0).any()


@pytest.mark.parametrize("at_a_time", [1, 3, 7])
def test_atlases_in_chunks_give_the_same(at_a_time: int) -> None:
    sample = make_sample(*scene(2, atlases=7)[:2], SMALL)
    whole, parts = (scores(model(), sample, at_a_time=n) for n in (7, at_a_time))
    assert np.abs(whole - parts).max() < 1e-5


def test_the_order_of_atlases_does_not_matter() -> None:
    sample = make_sample(*scene(3)[:2], SMALL)
    backwards = np.arange(len(sample.votes))[::-1]
    turned = replace(sample, atlases=sample.atlases[backwards], votes=sample.votes.of_atlases(backwards))
    one, other = (scores(model(), s, at_a_time=4) for s in (sample, turned))
    assert np.abs(one - other).max() < 1e-5


def test_the_mask_grows_a_label_by_about_a_voxel_and_leaves_background_everywhere() -> None:
    classes = np.zeros((2, 9, 9, 9), np.int16)
    classes[0, 3:6, 3:6, 3:6] = 1
    mask = label_mask(torch.from_numpy(AtlasVotes.of_labels(classes, (0, 1, 2)).dense())[None])[0]
    assert mask[0].all()
    assert mask[1, 2, 4, 4] == 1  # 9 of 27 voxels
    assert mask[1, 2, 2, 4] == 0  # 3 of 27
    assert mask[2].sum() == 0


def test_a_label_that_no_atlas_votes_for_is_nowhere() -> None:
    sample = make_sample(*scene(4)[:2], SMALL)
    votes = sample.votes.dense()
    votes[:, 2] = 0
    sample = replace(sample, votes=AtlasVotes.of(votes))
    assert scores(model(), sample, at_a_time=4)[2].max() == 0
    both = Parts(corrections=False)
    assert scores(model(both), sample, at_a_time=4)[2].max() == 0
    assert scores(model(replace(both, mask=False)), sample, at_a_time=4)[2].max() > 0


def test_votes_below_nothing_count_nothing() -> None:
    votes = torch.tensor([-1.0, 1.0, 3.0]).reshape(1, 3, 1, 1, 1)
    assert shares(votes).flatten().tolist() == [0, 0.25, 0.75]


def test_posteriors_sum_to_one_and_nothing_is_background() -> None:
    scores = torch.tensor([0.2, 0.0, 0.6, 0.0, -0.1, 0.0]).reshape(1, 3, 2, 1, 1)
    assert torch.allclose(scores_to_posterior(scores).sum(dim=1), torch.ones(1, 2, 1, 1))
    assert scores_to_posterior(scores)[0, :, 1, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_large_image_goes_tile_by_tile(part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = make_sample(*scene(8)[:2], Geometry(None, (8, 8, 8), (48, 16, 32)))
    network = model(Parts(voting=False))
    network.part.fill_(part)
    whole = scores(network, sample, at_a_time=4)
    monkeypatch.setattr(Room, "voxels", lambda self, classes: 32**3)
    monkeypatch.setattr("dlfbench.networks.tiles._AROUND_VOX", 8)
    found = scores(network, sample, at_a_time=4)
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5)
    # what is near a tile's border looks otherwise to the image network; votes and trees are the same
    assert (
        np.abs(found - whole).max() == pytest.approx(0, abs=1e-6) if not part else np.abs(found - whole).mean() < 0.02
    )


def test_the_consensus_of_a_large_image_is_made_tile_by_tile_with_what_is_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = make_sample(*scene(8)[:2], Geometry(None, (8, 8, 8), (192, 16, 16)))
    network = model().voting
    looked_at: list[tuple[int, ...]] = []
    of_part = VotingNetwork._consensus

    def seen(self: VotingNetwork, part: Sample, room: Room) -> Posterior:
        looked_at.append(part.target.shape[1:])
        return of_part(self, part, room)

    monkeypatch.setattr(VotingNetwork, "_consensus", seen)
    with torch.no_grad():
        whole = network.consensus(sample, ROOM)
        found = network.consensus(sample, Room(1, 4))
    assert [shape[0] for shape in looked_at] == [192, 80, 96, 80]  # three of 64, and 16 of their neighbours
    assert np.allclose(found.dense().sum(axis=0), 1, atol=1e-5)
    assert (found.labels() != whole.labels()).mean() < 0.002
    assert np.abs(found.dense() - whole.dense()).mean() < 0.002


def test_weights_of_versions_before_can_be_read() -> None:
    network = model()
    old = {
        name.replace("voting.classify", "voting.unet.heads.0.classify"): w for name, w in network.state_dict().items()
    }
    again = model(learned=False)
    again.load_state_dict(old)
    assert torch.equal(again.voting.classify.weight, network.voting.classify.weight)


def test_a_large_image_goes_window_by_window() -> None:
    sample = make_sample(*scene(8)[:2], Geometry(None, (8, 8, 8)))
    network = model(Parts(corrections=False))
    whole = scores(network, sample, at_a_time=4)
    network.window_vox = (16, 16, 16)
    parts = scores(network, sample, at_a_time=4)
    assert parts.shape == whole.shape
    assert 0 < np.abs(parts - whole).mean() < 0.1


def test_the_name_of_a_preset_gives_sizes_that_parameters_override() -> None:
    assert DeepLabelFusionMethod(preset="paper").sizes.features == 32
    assert DeepLabelFusionMethod(preset="paper", features=4, atlases=3).sizes == replace(
        DeepLabelFusionMethod.presets["paper"], features=4, atlases=3
    )


TINY: dict[str, Any] = {
    "preset": "quick",
    "features": 2,
    "steps": 1,
    "voting_steps": 1,
    "rounds": 2,
    "host": "mv",
    "atlases": 2,
    "patch_vox": 16,
    "margin_vox": 1,
}


@pytest.mark.filterwarnings("ignore:norm='batch'")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"voting": False},
        {"corrections": False},
        {"fine_tuning": False},
        {"mask": False},
        {"judges": 0.5},
        {"preset": "paper"},
    ],
)
def test_one_step_and_a_segmentation_with_every_ablation(tmp_path: Path, settings: dict[str, Any]) -> None:
    method = DeepLabelFusionMethod(**(TINY | settings))
    context = Context(tmp_path, seed=1)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    method.fit(Training([Case(seed) for seed in range(2)], (0, 3, 5), ("m",)), context)
    target, atlases, _ = scene(9)
    found = method.segment(target, atlases, context)
    assert found.posterior is not None
    assert np.allclose(found.posterior.sum(axis=0), 1, atol=1e-5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_trees_that_judge_learn_from_cases_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned_from: list[list[Any]] = []

    def record(seen: list[Any], *args: Any, **more: Any) -> None:
        learned_from.append(seen)
        learn_corrections(seen, *args, **more)

    monkeypatch.setattr("dlfbench.dlf.learning.learn_corrections", record)
    cases = [Case(seed) for seed in range(8)]
    DeepLabelFusionMethod(**TINY).fit(Training(cases, (0, 3, 5), ("m",)), Context(tmp_path))
    everybody, others = ([id(one) for one in seen] for seen in learned_from)
    assert len(everybody) == 8
    assert 0 < len(others) < 8
    assert others == [one for one in everybody if one in others]


@pytest.mark.parametrize("values", [(0, 3), (0, 3, 5, 7)])
def test_a_model_of_other_labels_is_refused(tmp_path: Path, values: tuple[int, ...]) -> None:
    method, context = DeepLabelFusionMethod(**TINY), Context(tmp_path)
    method.fit(Training([Case(seed) for seed in range(2)], (0, 3, 5), ("m",)), context)
    target, atlases, _ = scene(9)
    others = AtlasSet(atlases.names, atlases.images, np.minimum(atlases.labels, 3), values)
    with pytest.raises(ValueError, match="trained for"):
        method.segment(target, others, context)


def test_training_cases_without_any_label_are_refused(tmp_path: Path) -> None:
    cases = [Case(seed) for seed in range(2)]
    for case in cases:
        case.reference = np.zeros_like(case.reference)
    with pytest.raises(ValueError, match=r"none of the labels \[3, 5\]"):
        DeepLabelFusionMethod(steps=1).fit(Training(cases, (0, 3, 5), ("m",)), Context(tmp_path))


def dice(labels: np.ndarray, reference: np.ndarray) -> float:
    """Of the foreground."""
    return float(2 * ((labels > 0) & (reference > 0)).sum() / ((labels > 0).sum() + (reference > 0).sum()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DeepLabelFusionMethod, Context]:
    method = DeepLabelFusionMethod(**(TINY | {"steps": 2, "margin_vox": 2}))
    context = Context(tmp_path_factory.mktemp("model"), seed=1, threads=1)
    method.fit(Training([Case(seed) for seed in range(3)], (0, 3, 5), ("m",)), context)
    return method, context


@pytest.mark.slow
def test_it_learns_a_toy(tmp_path: Path) -> None:
    method = DeepLabelFusionMethod(preset="quick", features=4, steps=40, atlases=3, margin_vox=2, host="mv")
    context = Context(tmp_path, seed=1, threads=2)
    method.fit(Training([Case(seed) for seed in range(6)], (0, 3, 5), ("m",)), context)
    learned, voted = [], []
    for seed in range(20, 24):
        target, atlases, reference = scene(seed, atlases=9)
        learned.append(dice(method.segment(target, atlases, context).labels, reference))
        voted.append(dice(Posterior.of_votes(atlases.labels, (0, 3, 5)).labels(), reference))
    assert np.mean(learned) > np.mean(voted) + 0.05
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["loss"].tail(20).mean() < curves["loss"].head(20).mean()


def test_what_it_says_of_a_target_can_be_looked_at(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(23)
    found = explain(method, target, atlases, context)
    assert found.weights.shape == (4, 3, *target.grid.shape)
    assert np.allclose(found.consensus.sum(axis=0).max(), 1, atol=1e-5)
    box = found.posterior.sum(axis=0) > 0
    assert np.allclose(found.posterior[:, box], method.segment(target, atlases, context).posterior[:, box], atol=1e-5)


def test_empty_candidates_give_background(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(21)
    empty = AtlasSet(atlases.names, atlases.images, np.zeros_like(atlases.labels), atlases.label_values)
    assert not method.segment(target, empty, context).labels.any()


def test_other_modalities_are_refused(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(22, modalities=2)
    with pytest.raises(ValueError, match=r"t22: expected 1 modalities \(m\), found 2"):
        method.segment(target, atlases, context)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"voting": False, "corrections": False, "fine_tuning": False}, "use mv"),
        ({"host": "nobody"}, "label fusion method"),
        ({"host": "staple"}, "expected a method that weighs votes"),
        ({"host": "simple"}, "expected a method that weighs votes"),
        ({"host": "jlf[top=2]"}, "leave out top"),
        ({"judges": 2.0}, "judges"),
        ({"modaug": 2.0}, "modaug"),
        ({"features": 0}, "features"),
    ],
)
def test_parameters_are_checked(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_method("dlf", "dlf", settings)
