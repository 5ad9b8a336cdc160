"""What registration relies on in greedy itself: each of these fails when a new version of it behaves otherwise.

`observe` asks greedy, `differences` says what is not as dlfbench takes it to be. A second test puts the other behaviour
in the place of each answer, so that none of them can pass whatever greedy does.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from picsl_greedy import Greedy3D

from dlfbench.images import Grid
from dlfbench.registration.greedy import from_sitk, to_sitk

SHAPE = (16, 16, 16)
QUIET = "-V 0 -seed 1 -threads 1"


@dataclass(frozen=True)
class Behaviour:
    """Answers of greedy.

    Attributes:
        label_beyond_the_image: What LABEL interpolation gives where the moving image has ended, its labels 3 and 7.
        label_at_a_tie_vox: Voxels of a cube of 125 that is shifted by half a voxel.
        label_40000: What LABEL interpolation writes for it.
        linear_beyond_the_image: What linear interpolation gives there, of an image of 5 everywhere.
        finest_step_vox: The step that warps are rounded to.
        finest_step_unrounded_vox: The same with `-wp 0`; 0 for none.
        affine_of_images_apart: Whether images that do not overlap give the identity, and no error.
        affine_of_images_apart_centred: Whether their centres are brought together where that is asked for.
        wncc_is_ncc: Whether WNCC gives the warp of NCC where there is no mask.
    """

    label_beyond_the_image: int
    label_at_a_tie_vox: int
    label_40000: int
    linear_beyond_the_image: float
    finest_step_vox: float
    finest_step_unrounded_vox: float
    affine_of_images_apart: bool
    affine_of_images_apart_centred: bool
    wncc_is_ncc: bool


RELIED_ON = Behaviour(
    label_beyond_the_image=3,  # not 0: so labels there are set by dlfbench, from the warped field of view
    label_at_a_tie_vox=134,  # ties go to foreground
    label_40000=-25536,  # 16 bits: so labels are numbered before
    linear_beyond_the_image=0.0,  # so images get a scale on which 0 is a usual value
    finest_step_vox=0.1,  # so warps are asked for with -wp 0
    finest_step_unrounded_vox=0.0,
    affine_of_images_apart=True,  # so registration starts from image centre on image centre
    affine_of_images_apart_centred=True,
    wncc_is_ncc=False,  # so the two are told apart in the key of a warp
)


def differences(found: Behaviour) -> list[str]:
    """What is not as dlfbench takes it to be."""
    wanted = asdict(RELIED_ON)
    return [f"{name}: {wanted[name]}, now {value}" for name, value in asdict(found).items() if value != wanted[name]]


def image(voxels: np.ndarray, origin_mm: tuple[float, float, float] = (0, 0, 0)) -> sitk.Image:
    affine = np.eye(4)
    affine[:3, 3] = origin_mm
    return to_sitk(voxels.astype(np.float32), Grid.of(voxels.shape, affine))


def blob(shift_vox: float = 0.0) -> np.ndarray:
    """A smooth texture without symmetries."""
    x, y, z = np.meshgrid(*(np.arange(n) - 7.5 for n in SHAPE), indexing="ij")
    x = x - shift_vox
    return (
        100 * np.exp(-(x**2 + 1.5 * y**2 + 2 * z**2) / 40) + 8 * np.cos(0.8 * x + 0.5 * y) + 5 * np.sin(0.7 * z - x / 3)
    )


def identity(folder: Path) -> Path:
    path = folder / "identity.mat"
    np.savetxt(path, np.eye(4))
    return path


def warped_labels(labels: np.ndarray, origin_mm: tuple[float, float, float], folder: Path) -> np.ndarray:
    path = folder / "labels.nrrd"
    Greedy3D().execute(
        f"{QUIET} -rf fixed -ri LABEL 0.2vox -rm moving {path} -r {identity(folder)}",
        fixed=image(np.zeros(SHAPE)),
        moving=image(labels, origin_mm),
    )
    return from_sitk(sitk.ReadImage(str(path)))


def affine(start: str) -> np.ndarray:
    greedy = Greedy3D()
    greedy.execute(
        f"{QUIET} -a -dof 6 -n 20 -m NCC 2x2x2 {start} -i fixed moving -o affine",
        fixed=image(blob()),
        moving=image(blob(), (500, 0, 0)),
        affine=None,
    )
    return np.asarray(greedy["affine"])


def warp(metric: str, options: str = "") -> np.ndarray:
    greedy = Greedy3D()
    command = f"{QUIET} -n 20x10 -m {metric} -s 1.5vox 0.5vox -i fixed moving {options} -o warp"
    greedy.execute(command, fixed=image(blob()), moving=image(blob(1.3)), warp=None)
    return sitk.GetArrayFromImage(greedy["warp"])


def observe(folder: Path) -> Behaviour:
    both, cube, large = (np.zeros(SHAPE, np.int32) for _ in range(3))
    both[:8], both[8:] = 3, 7
    cube[5:10, 5:10, 5:10] = 1
    large[4:12, 4:12, 4:12] = 40000
    greedy = Greedy3D()
    greedy.execute(
        f"{QUIET} -rf fixed -ri LINEAR -rm moving linear -r {identity(folder)}",
        fixed=image(np.zeros(SHAPE)),
        moving=image(np.full(SHAPE, 5), (8, 0, 0)),
        linear=None,
    )
    rounded, exact = warp("NCC 2x2x2"), warp("NCC 2x2x2", "-wp 0")
    is_rounded, still_rounded = (bool(np.allclose(w * 10, np.rint(w * 10), atol=1e-3)) for w in (rounded, exact))
    return Behaviour(
        label_beyond_the_image=int(warped_labels(both, (100, 0, 0), folder)[0, 0, 0]),
        label_at_a_tie_vox=int((warped_labels(cube, (0.5, 0, 0), folder) == 1).sum()),
        label_40000=int(warped_labels(large, (0, 0, 0), folder)[8, 8, 8]),
        linear_beyond_the_image=float(from_sitk(greedy["linear"])[0, 0, 0]),
        finest_step_vox=0.1 if is_rounded else 0.0,
        finest_step_unrounded_vox=0.1 if still_rounded else 0.0,
        affine_of_images_apart=bool(np.array_equal(affine("-ia-identity"), np.eye(4))),
        affine_of_images_apart_centred=bool(abs(affine("-ia-image-centers")[0, 3] - 500) < 1),
        wncc_is_ncc=bool(np.abs(warp("WNCC 2x2x2", "-wp 0") - exact).max() < 0.05),
    )


def test_greedy_behaves_as_is_relied_on(tmp_path: Path) -> None:
    assert differences(observe(tmp_path)) == []


OPPOSITE = {
    "label_beyond_the_image": 0,
    "label_at_a_tie_vox": 125,
    "label_40000": 40000,
    "linear_beyond_the_image": 5.0,
    "finest_step_vox": 0.0,
    "finest_step_unrounded_vox": 0.1,
    "affine_of_images_apart": False,
    "affine_of_images_apart_centred": False,
    "wncc_is_ncc": True,
}


@pytest.mark.parametrize("name", asdict(RELIED_ON))
def test_the_other_behaviour_is_noticed(name: str) -> None:
    found = differences(replace(RELIED_ON, **{name: OPPOSITE[name]}))
    assert [text.split(":")[0] for text in found] == [name]
