#!/usr/bin/env bash
# nibabel: labels saved with set_data_dtype('uint8') are stored stretched over 0 to 255
#
# Expected: labels 0, 1, 2, 3 in a float array, saved as uint8, are stored as 0, 1, 2, 3.
# Happens: 0, 85, 170, 255 with scl_slope 0.0117647; read back they are floats that are not whole: 85 x slope is not
# 1.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6
# Matters: label == 1 finds nothing; tools that ignore scl_slope see 85, 170, 255; a label map's values depend on its
# largest label.
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

image = nib.Nifti1Image(np.arange(4.0).reshape(1, 1, 4), np.eye(4))
image.header.set_data_dtype("uint8")
nib.save(image, "label.nii.gz")
again = nib.load("label.nii.gz")
stored, read = again.dataobj.get_unscaled().ravel().tolist(), again.get_fdata().ravel()
print("saved 0, 1, 2, 3; stored", stored, "slope", again.dataobj.slope)
print("read back", [f"{value:.10f}" for value in read], "equal to 1:", int((read == 1).sum()))
as_itk = sitk.GetArrayFromImage(sitk.ReadImage("label.nii.gz", sitk.sitkUInt8)).ravel().tolist()
print("SimpleITK, read as 8 bits:", as_itk)
assert stored == [0, 85, 170, 255] and (read == 1).sum() == 0
END
