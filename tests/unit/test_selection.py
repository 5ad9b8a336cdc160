"""Atlas selection: which atlases are kept, and that every fusion method does it."""

from pathlib import Path

import numpy as np
import pytest

from dlfbench.fusion.selection import most_similar, similarity
from dlfbench.images import Grid
from dlfbench.segmenters.interface import Context
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.mv import MajorityVoting

SHAPE = (4, 4, 4)


def mixed(seed: int = 0) -> tuple[Target, AtlasSet]:
    """Five atlases: noise, the target, its negative, constant, the target scaled; foreground in one half."""
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(2, *SHAPE)).astype(np.float32)
    noise = generator.normal(size=image.shape).astype(np.float32)
    images = np.stack([noise, image, -image, np.zeros_like(image), image * 1000 + 7])
    labels = np.zeros((5, *SHAPE), np.int16)
    labels[:, :2] = np.arange(5).reshape(5, 1, 1, 1) % 2 + 1
    names = ("noise", "same", "negative", "constant", "scaled")
    return Target("t", image, Grid.of(SHAPE, np.eye(4))), AtlasSet(names, images, labels, (0, 1, 2))


def test_similarity_is_the_correlation_over_the_region_whatever_the_scale() -> None:
    target, atlases = mixed()
    found = similarity(target, atlases)
    by_hand = [np.corrcoef(target.images[c, :2].ravel(), atlases.images[0, c, :2].ravel())[0, 1] for c in (0, 1)]
    assert found == pytest.approx([np.mean(by_hand), 1, -1, 0, 1], abs=1e-6)


def test_what_lies_outside_the_region_does_not_count() -> None:
    target, atlases = mixed()
    changed = atlases.images.copy()
    changed[:, :, 2:] = 99
    other = AtlasSet(atlases.names, changed, atlases.labels, atlases.label_values)
    assert np.array_equal(similarity(target, atlases), similarity(target, other))


def test_without_candidate_foreground_the_whole_image_counts() -> None:
    target, atlases = mixed()
    empty = AtlasSet(atlases.names, atlases.images, np.zeros_like(atlases.labels), (0, 1, 2))
    assert similarity(target, empty)[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("top", "kept"), [(1, ["same"]), (2, ["same", "scaled"]), (9, ["noise", "same", "negative", "constant", "scaled"])]
)
def test_the_most_similar_are_kept_in_their_order(top: int, kept: list[str]) -> None:
    target, atlases = mixed()
    chosen = most_similar(target, atlases, top)
    assert list(chosen.names) == kept
    assert np.array_equal(chosen.labels, atlases.labels[[atlases.names.index(name) for name in kept]])


@pytest.mark.parametrize("method", [MajorityVoting, JointLabelFusion])
def test_a_method_fuses_the_top_atlases_only(method: type) -> None:
    target, atlases = mixed()
    chosen = most_similar(target, atlases, 2)
    expected = method().segment(target, chosen, Context(Path()))
    assert np.array_equal(method(top=2).segment(target, atlases, Context(Path())).posterior, expected.posterior)
    assert not np.array_equal(method().segment(target, atlases, Context(Path())).posterior, expected.posterior)
