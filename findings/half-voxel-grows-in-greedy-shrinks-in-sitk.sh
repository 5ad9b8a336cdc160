#!/usr/bin/env bash
# A shift by half a voxel makes labels grow in greedy and shrink in SimpleITK
#
# Expected: a cube of 5 voxels a side, moved by half a voxel and resampled as labels, keeps its 125 voxels, or loses
# and gains alike.
# Happens: greedy (-ri LABEL) makes 134 voxels of it; SimpleITK's sitkLabelLinear 100, its sitkNearestNeighbor 125.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6
# Matters: volumes of warped atlases are biased upwards by one tool and downwards by the other, before any fusion.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "picsl-greedy==1.4.0.3" "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk
from picsl_greedy import Greedy3D

cube = np.zeros((12, 12, 12), np.int16)
cube[4:9, 4:9, 4:9] = 1
image = sitk.GetImageFromArray(cube)
sitk.WriteImage(image, "label.nii.gz")
np.savetxt("half.mat", [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
Greedy3D().execute("-d 3 -V 0 -rf label.nii.gz -ri LABEL 0.2vox -rm label.nii.gz moved.nii.gz -r half.mat")
half = sitk.TranslationTransform(3, (0.5, 0, 0))
voxels = {"greedy LABEL 0.2vox": int((sitk.GetArrayFromImage(sitk.ReadImage("moved.nii.gz")) > 0).sum())}
for way in ("sitkLabelLinear", "sitkNearestNeighbor"):
    voxels[way] = int(sitk.GetArrayFromImage(sitk.Resample(image, image, half, getattr(sitk, way), 0)).sum())
print("voxels of a cube of", cube.sum(), "moved by half a voxel:", voxels)
assert voxels == {"greedy LABEL 0.2vox": 134, "sitkLabelLinear": 100, "sitkNearestNeighbor": 125}
END
