"""A whole study gives the same label maps however its test images are stored."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from builders import write_dataset
from dlfbench.images import read_labels
from dlfbench.records.results import read_results

pytestmark = pytest.mark.slow
Cli = Callable[..., tuple[int, str]]

STORED = {"pir": ("P", "I", "R"), "las": ("L", "A", "S")}
# numbers that 32-bit headers hold exactly, so that nothing but the order of voxels differs
STRAIGHT = np.diag([1.0, 1.25, 1.5, 1.0])
OBLIQUE = np.array([[6.0, -2, 3, 8], [3, 6, -2, -16], [-2, 3, 6, 24], [0, 0, 0, 8]]) / 8
SMALL = "steps=20,features=4,preset=quick"
FUSION = "mv,jlf,corrected[host=jlf,rounds=10],staple"
NETWORKS = f"unet[{SMALL}],dlf[{SMALL}],nnunet[epochs=1,iterations=3,validation_iterations=1]"


def write_copies(folder: Path, affine: np.ndarray) -> Path:
    """Four training cases, and two test cases of which each is there in three orders."""
    write_dataset(folder, people=6, sides="L", groups=("train", "train", "train", "train", "ras", "ras"))
    lines = (folder / "cases.tsv").read_text().splitlines()
    for path in sorted(folder.glob("*Tr/*.nii.gz")):
        image = nib.Nifti1Image(np.asarray(nib.load(path).dataobj).copy(), affine)
        nib.save(image, path)
        if path.name.startswith(("p04", "p05")):
            for name, axes in STORED.items():
                order = nib.orientations.ornt_transform(
                    nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(axes)
                )
                nib.save(image.as_reoriented(order), path.with_name(path.name.replace("L", f"L{name}", 1)))
    for line in lines[-2:]:
        case, person, side, _ = line.split("\t")
        lines += ["\t".join((f"{case}{name}", person, side, name)) for name in STORED]
    (folder / "cases.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(
    ("affine", "methods"), [(STRAIGHT, FUSION), (OBLIQUE, f"{FUSION},{NETWORKS}")], ids=["straight", "oblique"]
)
def test_label_maps_are_equal_and_stand_in_the_order_of_their_image(
    affine, methods: str, dlfbench: Cli, tmp_path: Path
) -> None:
    data, out = write_copies(tmp_path / "data", affine), tmp_path / "run"
    split = ["--train-on", "group=train", *(f"--test-on={name}:group={name}" for name in ("ras", *STORED))]
    code, text = dlfbench("run", "--data", data, *split, "--methods", methods, "--workers", "1", "--out", out)
    assert code == 0, text
    results = read_results(out).query("kind == 'method'")
    assert set(results.status) == {"ok"}, set(results.reason)
    differing = {}
    for path in sorted(out.glob("segmentations/*/*/p0?L.nii.gz")):
        for name in STORED:
            other = path.with_name(path.name.replace("L", f"L{name}", 1))
            image = nib.load(data / "imagesTr" / other.name.replace(".nii.gz", "_0000.nii.gz"))
            assert np.allclose(nib.load(other).affine, image.affine, atol=1e-6)
            assert nib.load(other).shape == image.shape
            differing[f"{path.parts[-3]} {other.name}"] = int((read_labels(other)[0] != read_labels(path)[0]).sum())
    assert len(differing) == results["method"].nunique() * 2 * 2
    assert results["method"].nunique() in (4, 7)
    assert differing == dict.fromkeys(differing, 0)
