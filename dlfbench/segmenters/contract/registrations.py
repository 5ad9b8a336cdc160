"""The checks of registrations: each returns where that part of the contract is kept, and raises otherwise."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import SkipTest

import numpy as np
import numpy.typing as npt

from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, FloatArray, Grid, LabelArray
from dlfbench.parameters import build
from dlfbench.registration.interface import Registration, WarpedAtlas
from dlfbench.registration.outcome import check_warped
from dlfbench.segmenters.contract import watch
from dlfbench.segmenters.contract.bench import Broken
from dlfbench.segmenters.contract.checks import Check, leaves_no_process, travels
from dlfbench.volumes import Atlas, Target

_RADII_MM = (10.0, 12.0, 9.0)
_SHAPE, _THICK = (32, 36, 30), (32, 36, 12)
_LEAST_DICE = 0.8
_BEYOND_MM = 5.0
_MOST_VOTES = 0.1


@dataclass(frozen=True)
class Pair:
    """A target and an atlas: an ellipsoid of two labels in each, on grids that may differ.

    Attributes:
        target: Its grid.
        atlas: The atlas's grid.
        person: What differs between the two, as a factor of size; 1 for the same person.
        modalities: How many.
        around_zero: The background is 0, and what is seen is darker and brighter, as in z-scores; else all is above 0.
    """

    target: Grid
    atlas: Grid
    person: float = 1.05
    modalities: int = 1
    around_zero: bool = False

    def images(self) -> tuple[Target, Atlas]:
        fixed, _ = self._scanned(self.target, 1.0, 1)
        moving, labels = self._scanned(self.atlas, self.person, 2)
        return Target("target", fixed, self.target), Atlas("atlas", moving, labels, self.atlas)

    def reference(self) -> LabelArray:
        """The target's labels."""
        return self._scanned(self.target, 1.0, 1)[1]

    def _scanned(self, grid: Grid, size: float, seed: int) -> tuple[FloatArray, LabelArray]:
        """Images (modality, x, y, z), float64, and labels."""
        places = self.places_mm(grid)
        away = np.sqrt(sum((axis / (radius * size)) ** 2 for axis, radius in zip(places, _RADII_MM, strict=True)))
        labels = np.where(away < 1, np.where(places[1] < 0, 1, 2), 0).astype(np.int16)
        noise = np.random.default_rng(seed)
        soft = 1 / (1 + np.exp(np.clip(8 * (away - 1), -50, 50)))  # a border that can be followed
        front = np.tanh(places[1] / 2)
        ground, body = (0, 0) if self.around_zero else (100, 60)
        images = [
            ground + soft * (body + 30 * (front if channel % 2 else -front)) + noise.normal(0, 2, grid.shape)
            for channel in range(self.modalities)
        ]
        return np.stack(images), labels

    @staticmethod
    def places_mm(grid: Grid) -> FloatArray:
        """Where the voxels of a grid lie (3, x, y, z)."""
        indices = np.indices(grid.shape).reshape(3, -1)
        affine = np.asarray(grid.affine)
        return (affine[:3, :3] @ indices + affine[:3, 3:]).reshape(3, *grid.shape)


def _grid(shape: tuple[int, int, int] = _SHAPE, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
    """A grid whose middle is at 0 mm."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing
    return Grid.of(shape, affine)


def _turned() -> Grid:
    """A grid of other voxels, whose first axis goes to the left and whose last two are exchanged."""
    spacing, shape = np.array([1.2, 1.5, 1.0]), (30, 24, 38)
    axes = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]]) * spacing
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, -axes @ ((np.array(shape) - 1) / 2)
    return Grid.of(shape, affine)


def _half() -> Grid:
    """A grid that ends in the middle of the ellipsoid, along z."""
    return Grid.of((*_SHAPE[:2], _SHAPE[2] // 2), _grid().affine)


PLAIN = Pair(_grid(), _grid())


@dataclass(frozen=True)
class RegistrationBench:
    """A registration and its folder.

    Attributes:
        registration: With its settings.
        root: The sandbox, which is the current folder.
    """

    registration: Registration
    root: Path

    @property
    def plugin(self) -> Registration:
        """What is checked."""
        return self.registration

    def run_plain(self) -> WarpedAtlas:
        """Warps an atlas about which nothing is odd."""
        return self.run(PLAIN)

    def run(self, pair: Pair, images: tuple[Target, Atlas] | None = None) -> WarpedAtlas:
        """Warps an atlas; the answer is checked.

        Raises:
            Broken: It cannot be stored.
        """
        target, atlas = images or pair.images()
        with tempfile.TemporaryDirectory(dir=self.root / "tmp") as scratch:
            warped = self.registration.warp(target, atlas, scratch=Path(scratch), threads=1)
        try:
            check_warped(warped, target, atlas)
        except RuntimeError as error:
            raise Broken(str(error)) from None
        return warped


def _on(pair: Pair) -> Callable[[RegistrationBench], None]:
    def run(bench: RegistrationBench) -> None:
        bench.run(pair)

    return run


def _refuses_unknown_settings(bench: RegistrationBench) -> None:
    try:
        build(type(bench.registration), {"no_such_setting": 1}, where="")
    except InputError:
        return
    raise Broken("an unknown setting was accepted")


def _says_its_version(bench: RegistrationBench) -> None:
    told = [bench.registration.version() for _ in range(2)]
    if not (isinstance(told[0], str) and told[0].strip()):
        raise Broken(f"version() is {told[0]!r}, expected a text")
    if told[0] != told[1]:
        raise Broken(f"version() is {told[0]!r} and then {told[1]!r}")


def _leaves_inputs(bench: RegistrationBench) -> None:
    target, atlas = PLAIN.images()
    arrays = {"target.images": target.images, "atlas.images": atlas.images, "atlas.labels": atlas.labels}
    before = {name: array.copy() for name, array in arrays.items()}
    bench.run(PLAIN, (target, atlas))
    changed = [name for name, array in arrays.items() if not np.array_equal(array, before[name])]
    if changed:
        raise Broken(f"changed {', '.join(changed)}")


def _repeats(bench: RegistrationBench) -> None:
    found = []
    for turn in (1, 2):
        watch.seed_global(turn)  # what is taken from there differs from turn to turn
        found.append(bench.run(PLAIN))
    one, other = found
    differing = int((one.labels != other.labels).sum())
    if differing or not np.array_equal(one.images, other.images):
        raise Broken(f"the same pair twice: {differing} of {one.labels.size} labels differ, and images too")


def _knows_grids(bench: RegistrationBench) -> None:
    pair = Pair(_grid(), _turned(), person=1.0)
    _check_dice(bench.run(pair), pair, "the same scene on grids of other axes")


def _works_around_zero(bench: RegistrationBench) -> None:
    pair = replace(PLAIN, around_zero=True)
    _check_dice(bench.run(pair), pair, "two people, values above and below a background of 0")


def _check_dice(warped: WarpedAtlas, pair: Pair, what: str) -> None:
    reference = pair.reference()
    scores = [_dice(warped.labels == label, reference == label) for label in (1, 2)]
    if min(scores) < _LEAST_DICE:
        found = " and ".join(f"{score:.2f}" for score in scores)
        raise Broken(f"{what}: Dice {found}, expected {_LEAST_DICE} or more")


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _has_no_vote_beyond(bench: RegistrationBench) -> None:
    pair = Pair(_grid(), _half())
    last_mm = Pair.places_mm(pair.atlas)[2].max()
    beyond = Pair.places_mm(pair.target)[2] > last_mm + _BEYOND_MM
    voted = float((bench.run(pair).labels[beyond] != UNKNOWN).mean())
    if voted > _MOST_VOTES:
        raise Broken(f"{voted:.0%} of the voxels more than {_BEYOND_MM:g} mm beyond the atlas have a label")


def _writes_into_scratch(bench: RegistrationBench) -> None:
    scratch = bench.root / "tmp"
    before = watch.files_in(bench.root, less=[scratch])
    with watch.files_seen() as seen:
        bench.run(PLAIN)
    after = watch.files_in(bench.root, less=[scratch])
    left = {path for path in after if after[path] != before.get(path)}
    written = watch.outside(seen.written, [scratch]) + sorted(left - seen.written)
    if written:
        raise Broken(f"wrote {', '.join(written[:3])}")


def _works_with_thick_slices(bench: RegistrationBench) -> None:
    least = getattr(bench.registration, "least_vox", 1)
    if least > min(_THICK):
        raise SkipTest(f"it needs {least} voxels along every axis (least_vox)")
    bench.run(Pair(_grid(_THICK, (1.0, 1.0, 3.0)), _grid(_THICK, (1.0, 1.0, 3.0))))


REGISTRATION_CHECKS = (
    Check(
        "gives an atlas on the target's grid",
        "return dlfbench.WarpedAtlas of images (modality, x, y, z), float32 and finite, and labels (x, y, z), "
        "integers, both of the target's shape; beyond the atlas its border goes on, and labels are -1",
        _on(PLAIN),
    ),
    Check(
        "can be sent to another process",
        "let settings be numbers, text and tuples; open files and tools inside of warp",
        travels,
        runs_method=False,
    ),
    Check(
        "refuses unknown settings",
        "make it a dataclass without an __init__ of its own",
        _refuses_unknown_settings,
        runs_method=False,
    ),
    Check(
        "says its version",
        "let version return the tool, its version, and a count that you raise when results change: the same each time",
        _says_its_version,
        runs_method=False,
    ),
    Check("leaves its inputs alone", "copy before changing: image = target.images[0].copy()", _leaves_inputs),
    Check(
        "gives the same again",
        "take random numbers from a seed that is a setting: what is stored must not depend on when it was made",
        _repeats,
    ),
    Check(
        "knows that grids lie in millimetres",
        "voxels of the target to mm by target.grid.affine, mm to voxels of the atlas by the inverse of "
        "atlas.grid.affine; axes may be exchanged, and go the other way",
        _knows_grids,
    ),
    Check(
        "gives no label beyond the atlas",
        "labels are -1 (dlfbench.UNKNOWN) where the atlas has no voxel: 0 would be a vote for background",
        _has_no_vote_beyond,
    ),
    Check(
        "works with values around 0",
        "a centre of mass, or a background of 0, is nothing that images as z-scores or in Hounsfield units have",
        _works_around_zero,
    ),
    Check("works with 2 modalities", "resample every one of atlas.images", _on(replace(PLAIN, modalities=2))),
    Check(
        "works with thick slices",
        "use grid.spacing_mm; say in least_vox how many voxels it needs",
        _works_with_thick_slices,
    ),
    Check(
        "writes into scratch only",
        "write files of a tool into scratch, which is empty and removed afterwards",
        _writes_into_scratch,
    ),
    Check("leaves no process behind", "wait for what you start, and end it: subprocess.run", leaves_no_process),
)
"""In the order in which they are run and shown."""
