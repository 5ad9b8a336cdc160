#!/usr/bin/env bash
# SimpleITK: resampling a label map onto its own grid with sitkLabelGaussian erases thin structures
#
# Expected: an identity transform onto the same grid leaves a label map as it is, whatever the interpolator.
# Happens: a single voxel and a line of five voxels vanish; sitkNearestNeighbor and sitkLabelLinear keep them.
# Versions: SimpleITK 2.5.7, numpy 2.4.6
# Matters: the interpolator is made for label maps; small structures (vessels, subfields) are lost before any
# registration error, and Dice of warped atlases falls.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk

print("SimpleITK", sitk.Version.VersionString())
line = np.zeros((9, 9, 9), np.uint8)
line[4, 4, 2:7] = 1
single = np.zeros_like(line)
single[4, 4, 4] = 1
found = {}
for name, mask in (("single voxel", single), ("line of five", line)):
    image = sitk.GetImageFromArray(mask)
    for way in ("sitkNearestNeighbor", "sitkLabelLinear", "sitkLabelGaussian"):
        same = sitk.Resample(image, image, sitk.Transform(), getattr(sitk, way), 0)
        found[name, way] = int(sitk.GetArrayFromImage(same).sum())
        print(f"{name}: {found[name, way]} of {mask.sum()} voxels left by {way} and the identity")
assert found["single voxel", "sitkLabelGaussian"] == 0 and found["line of five", "sitkLabelGaussian"] == 0
assert found["line of five", "sitkLabelLinear"] == 5 and found["single voxel", "sitkNearestNeighbor"] == 1
END
