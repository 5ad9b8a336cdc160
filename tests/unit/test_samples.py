"""Samples that networks learn from, and how they are changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.networks.augmentation import Augmentation, change_contrast, draw_positions, part_around, resample
from dlfbench.networks.problem import KeptSamples
from dlfbench.networks.samples import Draw, Geometry, Sample, draw_batch, make_sample, to_tensors
from dlfbench.volumes import AtlasSet
from scenes import Case, scene

SMALL = Geometry((2, 2, 2), (8, 8, 8))
STILL = Augmentation(bent=0, bias=0, gamma=0, blur=0, noise=0)
PATCH = (16, 24, 16)


def same_everywhere(seed: int) -> Sample:
    """A target whose atlases are all the target itself."""
    target, atlases, reference = scene(seed)
    same = AtlasSet(atlases.names, np.stack([target.images] * 4), np.stack([reference] * 4), atlases.label_values)
    return make_sample(target, same, SMALL, reference)


def test_everything_moves_alike_and_is_seeded() -> None:
    sample, draw = same_everywhere(5), Draw(replace(STILL, bent=1, mirror_axis=0), PATCH)
    one, again, other = (draw_batch([sample], draw, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.target, other.target)
    assert all(torch.equal(image, one.target[0]) for image in one.atlases[0])
    assert all(torch.equal(votes, one.truth[0]) for votes in one.votes[0])
    known = one.truth.sum(dim=1)
    assert known.amax() == pytest.approx(1, abs=1e-5)
    assert (known > 0.99).float().mean() > 0.2


def test_a_patch_that_is_not_changed_is_a_part_of_the_sample() -> None:
    sample = same_everywhere(5)
    seen = draw_batch([sample], Draw(STILL, (8, 8, 8)), np.random.default_rng(0))
    places = np.lib.stride_tricks.sliding_window_view(sample.target[0], (8, 8, 8))
    away = np.abs(places - places.mean((3, 4, 5), keepdims=True)).reshape(*places.shape[:3], -1)
    assert away.shape[-1] == 512
    scale = places.std((3, 4, 5), keepdims=True)
    standard = (places - places.mean((3, 4, 5), keepdims=True)) / np.maximum(scale, 1e-6)
    nearest = np.abs(standard - seen.target[0, 0].numpy()).max(axis=(3, 4, 5)).min()
    assert nearest < 0.01
    assert seen.truth[0, 1:].sum() > 0


def test_nobody_knows_what_is_in_the_padding_and_there_is_nothing_to_see() -> None:
    sample = same_everywhere(5)
    assert sample.reference is not None
    region = sample.region
    assert sum(region.before + region.after) > 0
    padded = np.ones(region.shape, bool)
    region.inner(padded)[:] = False
    assert (sample.reference[padded] == -1).all()
    assert (sample.reference[~padded] >= 0).all()
    assert (sample.target[0][padded] == 0).all()
    assert (sample.votes.dense()[:, :, padded] == 0).all()
    assert region.inner(sample.target).mean() == pytest.approx(0, abs=1e-6)


def test_positions_say_where_a_voxel_comes_from() -> None:
    volume = torch.arange(10.0).view(1, 10, 1, 1).expand(1, 10, 9, 8)
    positions = draw_positions((10, 9, 8), (4, 4, 4), (5, 4, 4), STILL, np.random.default_rng(0))
    assert torch.allclose(resample(volume, positions)[0, :, 0, 0], torch.arange(3.0, 7.0), atol=1e-4)
    assert torch.allclose(positions[0, :, 0, 0], torch.arange(3.0, 7.0) / 9 * 2 - 1, atol=1e-5)


def test_beyond_a_small_volume_there_is_nothing() -> None:
    volume = torch.arange(1.0, 5.0).view(1, 4, 1, 1).expand(1, 4, 4, 4)
    positions = draw_positions((4, 4, 4), (8, 4, 4), (0, 0, 0), STILL, np.random.default_rng(0))
    assert resample(volume, positions)[0, :, 1, 1].tolist() == pytest.approx([0, 0, 1, 2, 3, 4, 0, 0], abs=1e-4)


@pytest.mark.parametrize("centre", [(0, 0, 0), (20, 30, 25), (39, 59, 49)])
def test_a_patch_is_made_of_the_part_around_it_alone(centre: tuple[int, int, int]) -> None:
    shape, size, rng = (40, 60, 50), (8, 8, 8), np.random.default_rng(1)
    volume = torch.from_numpy(rng.normal(size=(2, *shape)).astype(np.float32))
    positions = draw_positions(shape, size, centre, replace(STILL, bent=1), rng)
    box, within = part_around(positions, shape)
    part = volume[(slice(None), *box)]
    assert part.numel() < 0.25 * volume.numel()
    assert torch.allclose(resample(part, within), resample(volume, positions), atol=1e-4)


def test_turns_are_turns_in_millimetres() -> None:
    long = Augmentation(bent=1, elastic_vox=0, scaling=0, rotation=0.5, spacing_mm=(1.0, 1.0, 4.0))
    positions = draw_positions((33, 33, 33), (17, 17, 17), (16, 16, 16), long, np.random.default_rng(0))
    places = positions * 16 * torch.tensor([1.0, 1.0, 4.0]).view(3, 1, 1, 1)
    x, z = places[:, 1, 0, 0] - places[:, 0, 0, 0], places[:, 0, 0, 1] - places[:, 0, 0, 0]
    assert x.norm().item() == pytest.approx(1, abs=1e-3)
    assert z.norm().item() == pytest.approx(4, abs=1e-3)


@pytest.mark.parametrize("kind", ["bias", "gamma", "blur", "noise", "histogram_shift"])
def test_each_change_of_contrast_changes_an_image_and_keeps_its_scale(kind: str) -> None:
    image = torch.from_numpy(same_everywhere(6).target[0])
    changed = change_contrast(image, replace(STILL, **{kind: 1.0}), np.random.default_rng(0))
    assert changed.mean().abs() < 1e-5
    assert changed.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert not torch.allclose(changed, (image - image.mean()) / image.std(), atol=1e-2)
    assert torch.equal(changed, change_contrast(image, replace(STILL, **{kind: 1.0}), np.random.default_rng(0)))


def test_contrast_differs_between_target_and_atlases() -> None:
    draw = Draw(replace(STILL, histogram_shift=1), PATCH)
    seen = draw_batch([same_everywhere(5)], draw, np.random.default_rng(0))
    assert all(not torch.allclose(image, seen.target[0]) for image in seen.atlases[0])


def test_modaug_replaces_one_modality_everywhere() -> None:
    target, atlases, reference = scene(6, modalities=2)
    sample = make_sample(target, atlases, SMALL, reference)
    found, before = (
        draw_batch([sample], Draw(replace(STILL, modaug=p), PATCH), np.random.default_rng(0)) for p in (1.0, 0.0)
    )
    kept = [torch.allclose(found.target[0, c], before.target[0, c]) for c in (0, 1)]
    assert sorted(kept) == [False, True]
    gone = kept.index(False)
    for image, was in zip(found.atlases[0], before.atlases[0], strict=True):
        assert abs(np.corrcoef(image[gone].ravel(), was[gone].ravel())[0, 1]) < 0.2
        assert torch.equal(image[1 - gone], was[1 - gone])


def test_modaug_leaves_the_only_modality() -> None:
    found, before = (
        draw_batch([same_everywhere(6)], Draw(replace(STILL, modaug=p), PATCH), np.random.default_rng(0))
        for p in (1.0, 0.0)
    )
    assert torch.equal(found.target, before.target)
    assert torch.equal(found.atlases, before.atlases)


@pytest.mark.parametrize(("empty", "foreground"), [(0.0, True), (1.0, False)])
def test_the_middle_of_a_patch_is_foreground_unless_empty_ones_are_wanted(empty: float, foreground: bool) -> None:
    target, atlases, reference = scene(7)
    sample = make_sample(target, atlases, Geometry(None, (8, 8, 8)), reference)
    for seed in range(5):
        seen = draw_batch([sample], Draw(STILL, (1, 1, 1), empty=empty), np.random.default_rng(seed))
        assert bool(seen.truth[0, 0].item() < 0.5) is foreground


def test_samples_on_disk_are_the_same_and_open_one_file_each(tmp_path: Path) -> None:
    target, atlases, reference = scene(10)
    many = replace(atlases, label_values=tuple(range(200)))
    kept, before = make_sample(target, many, SMALL, reference), _files_open()
    stored = [kept.on_disk(tmp_path) for _ in range(3)]
    assert len(list(tmp_path.iterdir())) == 3
    assert _files_open() <= before + 3
    assert isinstance(stored[0].votes.inside[3], np.memmap)
    assert isinstance(stored[0].reference, np.memmap)
    one, other = (draw_batch([s], Draw(STILL, PATCH, atlases=3), np.random.default_rng(0)) for s in (kept, stored[0]))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(to_tensors(kept), to_tensors(stored[0]), strict=True))


def _files_open() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_of_a_sample_that_the_disk_cannot_hold_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = make_sample(*scene(10)[:2], SMALL)

    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "memmap", full)
    with pytest.raises(OSError, match="No space"):
        kept.on_disk(tmp_path)
    assert not list(tmp_path.iterdir())


def test_samples_that_do_not_fit_in_memory_are_read_once_all_the_same(tmp_path: Path) -> None:
    read: list[str] = []

    def sample(case: Case) -> Sample:
        read.append(case.name)
        target, atlases, reference = scene(10)
        return make_sample(target, atlases, SMALL, reference)

    cases, keep = [Case(seed) for seed in range(3)], KeptSamples(sample, 0, tmp_path / "samples")  # type: ignore[arg-type]
    for case in (*cases, *cases):
        assert isinstance(keep(case).target, np.memmap)
    assert read == [case.name for case in cases]


def test_a_part_of_a_sample_has_what_is_there() -> None:
    whole = make_sample(*scene(10)[:2], SMALL, scene(10)[2])
    box = (slice(2, 10), slice(0, 8), slice(5, 13))
    part = whole.part(box)
    for one, other in zip(to_tensors(part)[:4], to_tensors(whole)[:4], strict=True):
        assert torch.equal(one, other[(..., *box)])
    assert np.array_equal(part.reference, whole.reference[box])


def test_atlases_are_drawn_with_replacement() -> None:
    sample = make_sample(*scene(10)[:2], SMALL, scene(10)[2])
    seen = draw_batch([sample], Draw(STILL, PATCH, atlases=9), np.random.default_rng(0))
    assert seen.atlases.shape[1] == seen.votes.shape[1] == 9


def test_labels_that_are_nowhere_near_change_nothing_of_the_others() -> None:
    sample = same_everywhere(5)
    assert sample.reference is not None
    given = sample.votes.dense()
    nothing = np.zeros_like(given[:, :1])
    votes = AtlasVotes.of(np.concatenate([given[:, :1], nothing, given[:, 1:], nothing], axis=1))
    more = replace(
        sample, votes=votes, reference=np.where(sample.reference > 0, sample.reference + 1, sample.reference)
    )
    draw = Draw(replace(STILL, bent=1), PATCH, atlases=2)
    few, many = (draw_batch([one], draw, np.random.default_rng(0)) for one in (sample, more))
    assert torch.equal(many.votes[:, :, [0, 2, 3]], few.votes)
    assert torch.equal(many.truth[:, [0, 2, 3]], few.truth)
    assert not many.votes[:, :, [1, 4]].any()
    assert not many.truth[:, [1, 4]].any()


def test_a_batch_holds_several_targets() -> None:
    samples = [same_everywhere(1), same_everywhere(2)]
    seen = draw_batch(samples, Draw(STILL, PATCH, atlases=3), np.random.default_rng(0))
    assert seen.target.shape == (2, 1, *PATCH)
    assert seen.atlases.shape == (2, 3, 1, *PATCH)
    assert seen.votes.shape == (2, 3, 3, *PATCH)


def test_a_label_that_nobody_drew_is_told_with_the_patch() -> None:
    whole = same_everywhere(5)
    seen = draw_batch([whole, replace(whole, undrawn=(2,))], Draw(STILL, (8, 8, 8)), np.random.default_rng(0))
    assert seen.undrawn.tolist() == [[0, 0, 0], [0, 0, 1]]


def test_coordinates_are_the_patch_s_and_do_not_move_with_the_anatomy() -> None:
    """Otherwise a network reads the label of a training case off them, however it is bent."""
    sample, rng = same_everywhere(5), np.random.default_rng(0)
    moved = draw_batch([sample, sample], Draw(replace(STILL, bent=1), PATCH), rng)
    still = draw_batch([sample], Draw(STILL, PATCH), rng)
    assert all(torch.equal(one, still.coordinates[0]) for one in moved.coordinates)
    assert not torch.allclose(moved.truth[0], still.truth[0], atol=1e-2)
