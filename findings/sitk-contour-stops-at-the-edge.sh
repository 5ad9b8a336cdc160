#!/usr/bin/env bash
# SimpleITK: a mask has no contour where it touches the image's edge
#
# Expected: voxels at the image's edge have nothing beyond them, and so belong to the contour, as by erosion with
# scipy or MedPy.
# Happens: LabelContour and BinaryContour leave the cut face open: 12 of its 16 voxels (its rim) are contour; and
# BinaryErode does not erode from there either.
# Versions: SimpleITK 2.5.7, numpy 2.4.6
# Matters: cropped images are usual; surface distances made from such contours (as seg-metrics does) are measured to
# another side of the structure.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk

mask = np.zeros((8, 8, 8), np.uint8)
mask[0:4, 2:6, 2:6] = 1
image = sitk.GetImageFromArray(mask)
label = sitk.GetArrayFromImage(sitk.LabelContour(image, fullyConnected=False))
binary = sitk.GetArrayFromImage(sitk.BinaryContour(image, fullyConnected=False, foregroundValue=1))
eroded = sitk.GetArrayFromImage(sitk.BinaryErode(image, (1, 1, 1)))
print("face at the edge: 16 voxels; contour by LabelContour", label[0].sum(), "by BinaryContour", binary[0].sum())
print("left on that face by BinaryErode:", eroded[0].sum())
print("opposite face, contour:", label[3].sum(), "eroded:", eroded[3].sum())
assert label[0].sum() == binary[0].sum() == 12 and label[3].sum() == 16
assert eroded[0].sum() == 4 and eroded[3].sum() == 0
END
