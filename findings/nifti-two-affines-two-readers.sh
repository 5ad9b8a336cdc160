#!/usr/bin/env bash
# NIfTI: which of two affines counts depends on a code, and SimpleITK and nibabel choose otherwise
#
# Expected: readers take the sform where there is one, and its scale with it.
# Happens: nibabel takes the sform whatever its code. SimpleITK takes it only with code 1 (scanner), else the qform;
# and the voxel size always from pixdim, so that an sform of 2 mm with pixdim 1 becomes an image of 1 mm at the
# sform's origin.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6
# Matters: files in template space (sform code 2 or 4) have both; the same file lies elsewhere, or is smaller, in two
# pipelines.
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

qform, sform = np.diag([1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1])
qform[:3, 3], sform[:3, 3] = (10, 20, 30), (-5, -6, -7)
found = {}
for code in (1, 2, 4):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    image.set_sform(sform, code)
    image.set_qform(qform, 1)  # sets pixdim too
    nib.save(image, "both.nii.gz")
    theirs, other = nib.load("both.nii.gz").affine, sitk.ReadImage("both.nii.gz")
    origin = (-other.GetOrigin()[0], -other.GetOrigin()[1], other.GetOrigin()[2])
    found[code] = (np.diag(theirs)[:3].tolist(), theirs[:3, 3].tolist(), other.GetSpacing(), origin)
    print(f"sform code {code}: nibabel {found[code][0]} mm at {found[code][1]}; SimpleITK {found[code][2]} mm at {origin}")
assert all(found[code][:2] == ([2, 2, 2], [-5, -6, -7]) for code in found)
assert found[1][2:] == ((1, 1, 1), (-5, -6, -7))
assert found[2][2:] == found[4][2:] == ((1, 1, 1), (10, 20, 30))
END
