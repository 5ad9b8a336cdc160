"""JLF and SVWV against plain loops written from the papers' text alone."""

import itertools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dlfbench.images import Grid
from dlfbench.segmenters.interface import Context
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines import patches_torch, weighted
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.svwv import SpatiallyVaryingWeightedVoting
from dlfbench_baselines.weighted import PatchFusion, _boxes, per_axis, weight_maps, whole_images

Array = npt.NDArray[np.float64]


def problem(
    seed: int, *, modalities: int = 1, atlases: int = 4, shape: tuple[int, int, int] = (6, 5, 7)
) -> tuple[Target, AtlasSet]:
    """A blob, its noisy shifted copies as atlases, three labels."""
    generator = np.random.default_rng(seed)
    grid = Grid.of(shape, np.eye(4))
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))

    def blob(centre: Array) -> Array:
        return np.sqrt(((points - centre.reshape(3, 1, 1, 1)) ** 2).sum(axis=0))

    centre = np.array(shape) / 2
    away = [blob(centre)] + [blob(centre + generator.normal(0, 0.7, 3)) for _ in range(atlases)]
    images = [
        np.stack([np.exp(-d / (c + 2)) + generator.normal(0, 0.05, shape) for c in range(modalities)]) for d in away
    ]
    labels = np.stack([np.where(d < 1.2, 5, np.where(d < 2.2, 2, 0)) for d in away[1:]]).astype(np.int16)
    target = Target("t", images[0].astype(np.float32), grid)
    names = tuple(f"a{i}" for i in range(atlases))
    return target, AtlasSet(names, np.stack(images[1:]).astype(np.float32), labels, (0, 2, 5))


def box(radius: tuple[int, int, int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(-r, r + 1) for r in radius)))


class Slow:
    """The methods' text, voxel by voxel."""

    def __init__(self, method: PatchFusion, target: Target, atlases: AtlasSet) -> None:
        self.method, self.target, self.atlases = method, target, atlases
        self.known: dict[tuple[int, tuple[int, ...]], Array] = {}
        self.patch, self.reach = box(per_axis(method.patch_radius)), box(per_axis(method.search_radius))

    def at(self, volume: npt.NDArray[np.generic], x: tuple[int, ...]) -> float:
        return float(volume[tuple(min(max(i, 0), n - 1) for i, n in zip(x, volume.shape, strict=True))])

    def normalised(self, atlas: int, x: tuple[int, ...]) -> Array:
        """Of an atlas, or of the target (-1)."""
        if (atlas, x) not in self.known:
            images = self.target.images if atlas < 0 else self.atlases.images[atlas]
            self.known[atlas, x] = self.compute_normalised(images, x)
        return self.known[atlas, x]

    def compute_normalised(self, images: npt.NDArray[np.float32], x: tuple[int, ...]) -> Array:
        rows = []
        for channel in images.astype(np.float64):
            values = np.array([self.at(channel, tuple(np.add(x, o))) for o in self.patch])
            rows.append((values - values.mean()) / max(values.std(ddof=1), 1e-6 * channel.std()))
        return np.concatenate(rows)

    def best(self, atlas: int, x: tuple[int, ...], t: Array) -> tuple[tuple[int, ...], Array]:
        found, highest, patch = x, -math.inf, t
        for o in self.reach:
            here = tuple(int(i) for i in np.add(x, o))
            if not all(0 <= i < n for i, n in zip(here, self.target.grid.shape, strict=True)):
                continue
            candidate = self.normalised(atlas, here)
            if t @ candidate > highest + 1e-9:
                found, highest, patch = here, float(t @ candidate), candidate
        return found, patch

    def posterior(self) -> Array:
        values, shape = self.atlases.label_values, self.target.grid.shape
        votes = np.zeros((len(values), *shape))
        for x in np.ndindex(shape):
            t = self.normalised(-1, x)
            found = [self.best(i, x, t) for i in range(len(self.atlases))]
            w = self.weights(np.stack([np.abs(t - patch) for _, patch in found]))
            for o in self.patch if isinstance(self.method, JointLabelFusion) else [(0, 0, 0)]:
                place = tuple(int(i) for i in np.add(x, o))
                if all(0 <= i < n for i, n in zip(place, shape, strict=True)):
                    for i, (xi, _) in enumerate(found):
                        label = values.index(int(self.at(self.atlases.labels[i], tuple(np.add(xi, o)))))
                        votes[(label, *place)] += w[i]
        return votes / votes.sum(axis=0)

    def weights(self, d: Array) -> Array:
        method, n = self.method, d.shape[1]
        if isinstance(method, JointLabelFusion):
            m = np.array([[((a * b).sum() / (n - 1)) ** method.beta for b in d] for a in d])
            w = np.linalg.inv(m + method.alpha * np.eye(len(d))).sum(axis=1)
            w = w / w.sum()
            return np.maximum(w, 0) / np.maximum(w, 0).sum() if method.non_negative else w
        assert isinstance(method, SpatiallyVaryingWeightedVoting)
        error = (d**2).mean(axis=1).clip(1e-6)
        w = error**-method.b if method.form == "inverse" else np.exp(-error / method.s**2)
        return w / w.sum()


def fuse(method: PatchFusion, target: Target, atlases: AtlasSet) -> Array:
    return method.fuse(target, atlases, Context(Path(), threads=1)).dense().astype(np.float64)


SMALL = [(1, 1), (1, 2), ((1, 1, 0), (2, 1, 1)), ((0, 1, 2), (1, 1, 1))]


@pytest.mark.parametrize("seed", range(20))
def test_jlf_equals_the_slow_reference(seed: int) -> None:
    patch, reach = SMALL[seed % 4]
    target, atlases = problem(seed, modalities=1 + seed % 2)
    expected = Slow(JointLabelFusion(patch, reach), target, atlases).posterior()
    assert np.abs(fuse(JointLabelFusion(patch, reach, precision=64), target, atlases) - expected).max() < 1e-5
    assert np.abs(fuse(JointLabelFusion(patch, reach), target, atlases) - expected).max() < 1e-4


@pytest.mark.parametrize("form", ["inverse", "gaussian"])
@pytest.mark.parametrize("seed", range(4))
def test_svwv_equals_the_slow_reference(seed: int, form: str) -> None:
    patch, reach = SMALL[seed]
    target, atlases = problem(seed, modalities=1 + seed % 2)
    method = SpatiallyVaryingWeightedVoting(patch, reach, precision=64, form=form)  # type: ignore[arg-type]
    assert np.abs(fuse(method, target, atlases) - Slow(method, target, atlases).posterior()).max() < 1e-5


def test_options_equal_the_slow_reference() -> None:
    target, atlases = problem(3, atlases=6)
    method = JointLabelFusion(1, 1, precision=64, alpha=0.01, beta=1.5, non_negative=True)
    assert np.abs(fuse(method, target, atlases) - Slow(method, target, atlases).posterior()).max() < 1e-5


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("method", [JointLabelFusion(1, 1), SpatiallyVaryingWeightedVoting(1, 1)])
def test_where_the_target_is_constant_offsets_tie_and_the_first_wins(
    method: PatchFusion, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding over the floor of the deviation chose among them, otherwise in each backend."""
    target, atlases = problem(8, shape=(8, 5, 6))
    target.images[:, :5], atlases.images[1, :, :3] = 0.3, 0.1
    if backend == "torch":
        monkeypatch.setattr(weighted, "_solve", lambda p, rule, _: patches_torch.solve(p, rule, device="cpu"))
    assert np.abs(fuse(method, target, atlases) - Slow(method, target, atlases).posterior()).max() < 1e-4


@pytest.mark.parametrize(
    "method",
    [
        JointLabelFusion(1, 1, 64),
        JointLabelFusion(1, 1, 64, beta=1.5, non_negative=True),
        SpatiallyVaryingWeightedVoting((1, 0, 1), 1, 64),
    ],
)
def test_the_torch_backend_gives_the_same_votes_in_any_chunks(
    method: PatchFusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, atlases = problem(4, modalities=2, atlases=6, shape=(14, 12, 13))
    expected = fuse(method, target, atlases)
    monkeypatch.setattr(
        weighted,
        "_solve",
        lambda p, rule, _: patches_torch.solve(p, rule, device="cpu", memory_mb=1),
    )
    assert np.abs(fuse(method, target, atlases) - expected).max() < 1e-9


def test_little_memory_means_boxes_and_the_same_votes() -> None:
    target, atlases = problem(6, shape=(60, 9, 8), atlases=12)
    method = JointLabelFusion(1, 1, 64, memory_mb=1)
    assert (
        len(list(method.problems(whole_images(target, atlases), np.ones(target.grid.shape, np.bool_), threads=1))) > 2
    )
    assert np.abs(fuse(method, target, atlases) - fuse(JointLabelFusion(1, 1, 64), target, atlases)).max() < 1e-9


def test_weight_maps_are_the_slow_reference_s_weights_where_asked_for() -> None:
    target, atlases = problem(7)
    method = JointLabelFusion(1, 1, 64)
    where = np.zeros(target.grid.shape, np.bool_)
    where[2:4, 1:3, ::2] = True
    maps = weight_maps(method, target, atlases, where=where)
    slow = Slow(method, target, atlases)
    for x in np.ndindex(target.grid.shape):
        if where[x]:
            t = slow.normalised(-1, x)
            found = [slow.best(i, x, t)[1] for i in range(len(atlases))]
            expected = slow.weights(np.stack([np.abs(t - patch) for patch in found]))
            assert np.abs(maps[(slice(None), *x)] - expected).max() < 1e-5
        else:
            assert np.isnan(maps[(slice(None), *x)]).all()
    assert weight_maps(method, target, atlases).sum(axis=0) == pytest.approx(np.ones(target.grid.shape), abs=1e-5)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    target, atlases = problem(1, shape=(20, 20, 20), atlases=8)
    one, two = (JointLabelFusion().fuse(target, atlases, Context(Path(), threads=n)).dense() for n in (1, 2))
    assert np.array_equal(one, two)


def test_intensity_scale_and_offset_of_an_atlas_do_not_matter() -> None:
    target, atlases = problem(2)
    images = atlases.images.copy()
    images[1] = images[1] * 1000 - 50
    other = AtlasSet(atlases.names, images, atlases.labels, atlases.label_values)
    assert (
        np.abs(
            fuse(JointLabelFusion(1, 1, 64), target, atlases) - fuse(JointLabelFusion(1, 1, 64), target, other)
        ).max()
        < 1e-4
    )


def test_order_of_atlases_does_not_matter() -> None:
    target, atlases = problem(5, atlases=5)
    order = [3, 0, 4, 1, 2]
    shuffled = AtlasSet(
        tuple(atlases.names[i] for i in order), atlases.images[order], atlases.labels[order], atlases.label_values
    )
    assert (
        np.abs(fuse(JointLabelFusion(1, 1), target, atlases) - fuse(JointLabelFusion(1, 1), target, shuffled)).max()
        < 1e-4
    )


def test_one_atlas_gets_all_the_weight() -> None:
    target, atlases = problem(0, atlases=1)
    assert np.abs(fuse(JointLabelFusion(1, 0), target, atlases).sum(axis=0) - 1).max() < 1e-6


def test_unanimous_atlases_decide() -> None:
    target, atlases = problem(0)
    same = AtlasSet(atlases.names, atlases.images, np.zeros_like(atlases.labels) + 2, atlases.label_values)
    assert (fuse(JointLabelFusion(), target, same)[1] == 1).all()


def test_boxes_hold_every_voxel_once_and_as_few_others_as_they_may() -> None:
    solve = np.random.default_rng(0).random((30, 20, 25)) < 0.02
    count = np.zeros(solve.shape, int)
    for part in _boxes(solve, np.array([4, 4, 4]), most_vox=1000):
        count[part] += 1
        assert np.prod([s.stop - s.start + 4 for s in part]) <= 1000
    assert (count[solve] == 1).all()
    assert count.max() == 1
    assert not list(_boxes(np.zeros((3, 3, 3), np.bool_), np.array([4, 4, 4]), 1000))


def test_votes_of_more_atlases_and_labels_than_16_bits_count(tmp_path: Path) -> None:
    target, atlases = problem(3, atlases=4)
    many = AtlasSet(atlases.names, atlases.images, atlases.labels, (0, 2, 5, *range(6, 12_000)))
    few, found = (JointLabelFusion(1, 1).votes(target, one, Context(tmp_path)) for one in (atlases, many))
    assert found.boxes[:3] == few.boxes
    assert all(np.array_equal(one, other) for one, other in zip(few.inside, found.inside[:3], strict=True))


@pytest.mark.parametrize("method", [JointLabelFusion(), SpatiallyVaryingWeightedVoting()])
def test_the_mean_of_votes_is_the_posterior(method: PatchFusion, tmp_path: Path) -> None:
    target, atlases = problem(3)
    context = Context(tmp_path)
    votes = method.votes(target, atlases, context).dense()
    assert votes.shape == (4, 3, 6, 5, 7)
    assert np.abs(votes.mean(axis=0, dtype=np.float64) - method.fuse(target, atlases, context).dense()).max() < 2e-3
    assert np.abs(votes.sum(axis=(0, 1), dtype=np.float64) - len(atlases)).max() < 1e-2
