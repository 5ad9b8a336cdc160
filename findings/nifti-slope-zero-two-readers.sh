#!/usr/bin/env bash
# NIfTI: scl_slope 0 means 'not scaled', and SimpleITK adds scl_inter all the same
#
# Expected: the NIfTI-1 header says that with scl_slope 0 the data are not scaled, and so scl_inter counts for
# nothing.
# Happens: nibabel reads 7 as 7; SimpleITK reads 12 where scl_inter is 5, and makes the label map a float image.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6
# Matters: where a header holds an intercept beside a slope of 0, labels or intensities are shifted by one of two
# readers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "nibabel==5.4.2" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import gzip
import struct
import nibabel as nib
import numpy as np
import SimpleITK as sitk

nib.save(nib.Nifti1Image(np.full((4, 5, 6), 7, np.int16), np.eye(4)), "label.nii.gz")
content = bytearray(gzip.open("label.nii.gz").read())
struct.pack_into("<ff", content, 112, 0.0, 5.0)  # scl_slope, scl_inter
with gzip.open("label.nii.gz", "wb") as file:
    file.write(bytes(content))
one, other = nib.load("label.nii.gz").get_fdata().max(), sitk.ReadImage("label.nii.gz")
value = float(sitk.GetArrayFromImage(other).max())
print(f"stored 7, slope 0, intercept 5: nibabel {one:g}, SimpleITK {value:g} as {other.GetPixelIDTypeAsString()}")
assert (one, value) == (7, 12) and "float" in other.GetPixelIDTypeAsString()
END
