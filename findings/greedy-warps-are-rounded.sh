#!/usr/bin/env bash
# greedy: warps are written rounded to a tenth of a voxel
#
# Expected: the displacement field that is written is the one that was optimised, in float32.
# Happens: by default (-wp 0.1) every component is a multiple of 0.1 voxel; with -wp 0 none is, and the two differ by
# up to 0.05 voxel.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6, scipy 1.17.1
# Matters: Jacobians and composed or inverted warps inherit steps; a warp that is applied from a file is not the warp
# whose metric was printed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "picsl-greedy==1.4.0.3" "SimpleITK==2.5.7" "numpy==2.4.6" "scipy==1.17.1"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk
from picsl_greedy import Greedy3D
from scipy.ndimage import gaussian_filter

image = gaussian_filter(np.random.default_rng(0).normal(size=(32, 32, 32)), 3).astype(np.float32)
sitk.WriteImage(sitk.GetImageFromArray(image), "fixed.nii.gz")
sitk.WriteImage(sitk.GetImageFromArray(np.roll(image, 1, 0)), "moving.nii.gz")
warps = {}
for flag in ("", "-wp 0"):
    Greedy3D().execute(f"-d 3 -V 0 -i fixed.nii.gz moving.nii.gz -m SSD -n 20x10 {flag} -o warp.nii.gz -seed 1 -threads 1")
    warps[flag] = sitk.GetArrayFromImage(sitk.ReadImage("warp.nii.gz"))
    print(f"{flag or 'default'}: {np.unique(np.round(warps[flag], 4)).size} different values in {warps[flag].size}")
tenths = warps[""] / 0.1
assert np.abs(tenths - np.round(tenths)).max() < 1e-4
assert np.unique(np.round(warps["-wp 0"], 4)).size > 1000
print(f"largest difference {np.abs(warps[''] - warps['-wp 0']).max():.3f} voxel")
assert 0.04 < np.abs(warps[""] - warps["-wp 0"]).max() < 0.0501
END
