"""Samples that networks learn from, and how they are changed."""

import numpy as np
import pytest

from dlfbench.networks.augmentation import Augmentation
from dlfbench.networks.samples import Geometry, augment, cut_patch, draw_atlases, make_sample
from dlfbench.volumes import AtlasSet
from scenes import scene

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
SMALL = Geometry((2, 2, 2), (8, 8, 8), (72, 72, 72))


def test_augmentation_moves_everything_alike_and_is_seeded() -> None:
    target, atlases, reference = scene(5)
    same = AtlasSet(atlases.names, np.stack([target.images] * 4), np.stack([reference] * 4), atlases.label_values)
    sample = make_sample(target, same, SMALL, reference)
    calm = Augmentation(mirror_axis=0, bent=1, noise=0, histogram_shift=0)
    one, again, other = (augment(sample, calm, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one.target, again.target)
    assert not np.array_equal(one.target, other.target)
    assert all(np.array_equal(image, one.target) for image in one.atlases)
    assert all(np.array_equal(classes, one.reference) for classes in one.classes)
    assert set(np.unique(one.reference)) <= {0, 1, 2}


def test_contrast_differs_between_target_and_atlases() -> None:
    target, atlases, reference = scene(5)
    same = AtlasSet(atlases.names, np.stack([target.images] * 4), atlases.labels, atlases.label_values)
    changed = augment(
        make_sample(target, same, SMALL, reference), Augmentation(noise=0, histogram_shift=1), np.random.default_rng(0)
    )
    assert all(not np.allclose(image, changed.target) for image in changed.atlases)


def test_modaug_replaces_one_modality_everywhere() -> None:
    target, atlases, reference = scene(6, modalities=2)
    sample = make_sample(target, atlases, SMALL, reference)
    still = Augmentation(rotation=0, scaling=0, elastic_vox=0, noise=0, histogram_shift=0, modaug=1.0)
    found = augment(sample, still, np.random.default_rng(0))
    kept = [np.corrcoef(found.target[c].ravel(), sample.target[c].ravel())[0, 1] > 0.9 for c in (0, 1)]
    assert sorted(kept) == [False, True]
    gone = kept.index(False)
    for image, before in zip(found.atlases, sample.atlases, strict=True):
        assert abs(np.corrcoef(image[gone].ravel(), before[gone].ravel())[0, 1]) < 0.2


def test_a_patch_holds_foreground() -> None:
    target, atlases, reference = scene(7)
    sample = make_sample(target, atlases, SMALL, reference)
    small = cut_patch(sample, (8, 8, 8), np.random.default_rng(0))
    assert small.target.shape == (1, 8, 8, 8)
    assert small.reference is not None
    assert small.reference.any()


def test_atlases_are_drawn_with_replacement() -> None:
    target, atlases, _ = scene(10)
    drawn = draw_atlases(make_sample(target, atlases, SMALL), 9, np.random.default_rng(0))
    assert len(drawn.atlases) == len(drawn.classes) == 9
