#!/usr/bin/env bash
# NIfTI: a file in micrometres is a thousand times smaller in SimpleITK than in nibabel
#
# Expected: readers agree on how large a voxel is.
# Happens: the unit is in the header (xyzt_units); SimpleITK turns micrometres and metres into mm, nibabel gives the
# numbers as they are, in get_zooms and in the affine.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6
# Matters: microscopy and small-animal images: distances, volumes and spacings of one file differ by 1000, and a
# pipeline that reads with both mixes them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "nibabel==5.4.2" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import nibabel as nib
import numpy as np
import SimpleITK as sitk

found = {}
for unit in ("mm", "micron", "meter"):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, "unit.nii.gz")
    found[unit] = (float(nib.load("unit.nii.gz").header.get_zooms()[0]), sitk.ReadImage("unit.nii.gz").GetSpacing()[0])
    print(f"pixdim 1, unit {unit}: nibabel {found[unit][0]:g}, SimpleITK {found[unit][1]:g} mm")
assert {unit: values[0] for unit, values in found.items()} == {"mm": 1, "micron": 1, "meter": 1}
assert np.allclose([found["micron"][1], found["meter"][1]], [1e-3, 1e3])
END
