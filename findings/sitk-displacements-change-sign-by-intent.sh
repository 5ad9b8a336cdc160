#!/usr/bin/env bash
# SimpleITK: the same three numbers are read with another sign where the NIfTI intent is 'displacement vector'
#
# Expected: a header's intent code describes data; it does not change the values that are read.
# Happens: a vector image of (7, 7, 7) is read as (7, 7, 7) with intent 'vector' (1007) and as (-7, -7, 7) with intent
# 'displacement vector' (1006); nibabel reads 7, 7, 7 from both.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6
# Matters: warps exchanged between toolkits point the wrong way in x and y depending on one header field, and look
# plausible.
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
for intent in ("vector", "displacement vector"):
    image = nib.Nifti1Image(np.full((4, 5, 6, 1, 3), 7, np.float32), np.eye(4))
    image.header.set_intent(intent)
    nib.save(image, "warp.nii.gz")
    own = np.asarray(nib.load("warp.nii.gz").dataobj)[1, 1, 1, 0].tolist()
    found[intent] = (own, sitk.GetArrayFromImage(sitk.ReadImage("warp.nii.gz"))[1, 1, 1].tolist())
    print(f"intent {intent}: nibabel {own}, SimpleITK {found[intent][1]}")
assert found["vector"] == ([7, 7, 7], [7, 7, 7])
assert found["displacement vector"] == ([7, 7, 7], [-7, -7, 7])
END
