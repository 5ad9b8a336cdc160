#!/usr/bin/env bash
# SimpleITK: reading and writing a NIfTI file turns 'MNI space' into 'scanner space'
#
# Expected: a label map that is read, changed and written keeps the space that its header names.
# Happens: qform and sform codes 4 (MNI 152) come back as 1 (scanner), without a word.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6
# Matters: tools that choose an affine, or a template, by code treat the file otherwise afterwards (see nifti-two-
# affines-two-readers).
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

image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
image.set_qform(np.eye(4), 4)
image.set_sform(np.eye(4), 4)
nib.save(image, "before.nii.gz")
sitk.WriteImage(sitk.ReadImage("before.nii.gz"), "after.nii.gz")
before, after = (nib.load(name).header for name in ("before.nii.gz", "after.nii.gz"))
codes = [(int(h["qform_code"]), int(h["sform_code"])) for h in (before, after)]
print("qform code, sform code: before", codes[0], "after", codes[1])
assert codes == [(4, 4), (1, 1)]
END
