"""Data sets in the layouts of other tools, made from one in ours."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from dlfbench.datasets.cases import Case, Dataset
from dlfbench.images import Grid, read_voxels, write_image
from dlfbench.registration.greedy import to_sitk

SIDES = {"L": "left", "R": "right"}
# a turn by 5 degrees about x, and a shift: from the space of T2 to that of T1
T2_TO_T1 = np.array(
    [
        [1.0, 0.0, 0.0, 3.0],
        [0.0, np.cos(np.radians(5)), -np.sin(np.radians(5)), -2.0],
        [0.0, np.sin(np.radians(5)), np.cos(np.radians(5)), 1.5],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
LUT = """#$Id: FreeSurferColorLUT.txt $

#No. Label Name:                            R   G   B   A

0   Unknown                                 0   0   0   0
1   Left-Cerebral-Exterior                  70  130 180 0
2   Left-Cerebral-White-Matter              245 245 245 0
10  Left-Thalamus-Proper*                   0   118 14  0
17  Left-Hippocampus                        220 216 20  0
18  Left-Amygdala                           103 255 255 0
53  Right-Hippocampus                       220 216 20  0
1006 ctx-lh-entorhinal                      220 20  10  0
"""


def people(data: Dataset) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in data.cases:
        found.setdefault(case.person, []).append(case)
    return found


def write_ashs(folder: Path, data: Dataset, *, matrix: np.ndarray = T2_TO_T1) -> Path:
    """An atlas package as ashs_train leaves it; the modalities are T2 and T1, cases have a side."""
    (folder / "snap").mkdir(parents=True)
    head = "########\n# ITK-SnAP Label Description File\n# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL\n########\n"
    rows = [f'{value:5d}   255    0    0        1  1  1    "{name}"' for value, name in data.labels.foreground]
    (folder / "snap" / "snaplabels.txt").write_text(
        head + "\n".join(['    0     0    0    0        0  0  0    "Clear Label"', *rows]) + "\n"
    )
    found = people(data)
    (folder / "ashs_atlas_vars.sh").write_text(
        f"ASHS_ATLAS_VERSION_FULL=2.0.0\nASHS_ATLAS_VERSION_DATE=20221001\nASHS_ATLAS_N={len(found)}\n"
    )
    for number, cases in enumerate(found.values()):
        atlas = folder / "train" / f"train{number:03d}"
        atlas.mkdir(parents=True)
        for case in cases:
            side = SIDES[case.columns["side"]]
            shutil.copyfile(case.images[0], atlas / f"tse_native_chunk_{side}.nii.gz")
            shutil.copyfile(case.reference, atlas / f"tse_native_chunk_{side}_seg.nii.gz")
        voxels, grid = joined([read_voxels(case.images[1]) for case in cases])
        write_image(atlas / "mprage.nii.gz", voxels, Grid.of(grid.shape, matrix @ grid.affine))
        np.savetxt(atlas / "flirt_t2_to_t1.mat", matrix)
    return folder


def joined(crops: Sequence[tuple[np.ndarray, Grid]]) -> tuple[np.ndarray, Grid]:
    """Crops of one image as they lay in it, by whole voxels of the first; 0 between them."""
    affine = np.asarray(crops[0][1].affine)
    starts = [np.rint(np.linalg.solve(affine, np.asarray(grid.affine)[:, 3])[:3]).astype(int) for _, grid in crops]
    low = np.min(starts, axis=0)
    shape = np.max([start + grid.shape for start, (_, grid) in zip(starts, crops, strict=True)], axis=0) - low
    image = np.zeros(shape, np.float32)
    for start, (voxels, grid) in zip(starts, crops, strict=True):
        image[tuple(slice(a, a + n) for a, n in zip(start - low, grid.shape, strict=True))] = voxels
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    return image, Grid.of(tuple(shape), moved)


def write_freesurfer(folder: Path, data: Dataset, values: dict[int, int]) -> Path:
    """A subjects folder, a subject a case; labels get other values, those of the colour table."""
    for case in data.cases:
        mri = folder / case.name / "mri"
        mri.mkdir(parents=True)
        voxels, grid = read_voxels(case.images[0])
        nib.save(nib.MGHImage(voxels.astype(np.float32), np.asarray(grid.affine)), mri / "norm.mgz")
        labels, grid = read_voxels(case.reference)
        aseg = np.vectorize({0: 0, **values}.get)(labels).astype(np.int32)
        nib.save(nib.MGHImage(aseg, np.asarray(grid.affine)), mri / "aseg.mgz")
    (folder / "fsaverage" / "mri").mkdir(parents=True)
    (folder / "FreeSurferColorLUT.txt").write_text(LUT)
    return folder


def write_bids(folder: Path, data: Dataset, *, suffixes: Sequence[str] = ("T1w", "T2w")) -> Path:
    """Raw images, a side a session, and a derivative `manual` with label maps and their table."""
    derivative = folder / "derivatives" / "manual"
    for root, kind in ((folder, "raw"), (derivative, "derivative")):
        root.mkdir(parents=True, exist_ok=True)
        about = {"Name": data.name, "BIDSVersion": "1.9.0", "DatasetType": kind}
        (root / "dataset_description.json").write_text(json.dumps(about))
    rows = [("index", "name"), *zip(data.labels.values, data.labels.names, strict=True)]
    (derivative / "dseg.tsv").write_text("".join(f"{index}\t{name}\n" for index, name in rows))
    with (folder / "participants.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["participant_id", "group"])
        table.writerows([f"sub-{person}", cases[0].columns["group"]] for person, cases in people(data).items())
    for case in data.cases:
        sub, ses = f"sub-{case.person}", f"ses-{case.columns['side']}"
        anat = Path(sub, ses, "anat")
        (folder / anat).mkdir(parents=True)
        (derivative / anat).mkdir(parents=True)
        for path, suffix in zip(case.images, suffixes, strict=False):
            shutil.copyfile(path, folder / anat / f"{sub}_{ses}_{suffix}.nii.gz")
        shutil.copyfile(case.reference, derivative / anat / f"{sub}_{ses}_desc-manual_dseg.nii.gz")
    return folder


def write_msd_4d(folder: Path, data: Dataset) -> Path:
    """A folder of the Decathlon whose images hold all modalities."""
    for case in data.cases:
        pairs = [read_voxels(path) for path in case.images]
        for sub in ("imagesTr", "labelsTr"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        stacked = np.stack([voxels for voxels, _ in pairs], axis=3)
        affine = np.asarray(pairs[0][1].affine)
        nib.save(nib.Nifti1Image(stacked, affine), folder / "imagesTr" / f"{case.name}.nii.gz")
        shutil.copyfile(case.reference, folder / "labelsTr" / f"{case.name}.nii.gz")
    header = {
        "name": data.name,
        "modality": {str(n): name for n, name in enumerate(data.modalities)},
        "labels": {str(value): name for value, name in zip(data.labels.values, data.labels.names, strict=True)},
        "training": [
            {"image": f"./imagesTr/{case.name}.nii.gz", "label": f"./labelsTr/{case.name}.nii.gz"}
            for case in data.cases
        ],
    }
    (folder / "dataset.json").write_text(json.dumps(header))
    return folder


def write_itk_files(folder: Path, data: Dataset) -> Path:
    """Images as NRRD and label maps as MetaImage: t1/PERSON-SIDE.nrrd, seg/PERSON-SIDE.mha."""
    for case in data.cases:
        name = f"{case.person}-{case.columns['side']}"
        files = [(case.images[0], f"t1/{name}.nrrd"), (case.reference, f"seg/{name}.mha")]
        for path, place in files:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(to_sitk(*read_voxels(path)), str(folder / place))
    return folder


def move_side(data: Dataset, side: str, by_mm: float) -> None:
    """Moves the images of one side along x, so that both sides of a person lie beside each other."""
    for case in data.cases:
        if case.columns["side"] == side:
            for path in (*case.images, case.reference):
                voxels, grid = read_voxels(path)
                affine = np.asarray(grid.affine).copy()
                affine[0, 3] += by_mm
                write_image(path, voxels, Grid.of(grid.shape, affine))
