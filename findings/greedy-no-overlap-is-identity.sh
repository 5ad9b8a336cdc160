#!/usr/bin/env bash
# greedy: an affine registration of images that do not overlap succeeds, with the identity
#
# Expected: images that share no point of space cannot be registered: an error, or a non-zero return.
# Happens: execute returns without an exception and writes the identity; with -ia-image-centers the same pair is
# aligned.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6
# Matters: a header with another origin makes one atlas of many useless, and nothing but its Dice tells.
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

cube = np.zeros((24, 24, 24), np.float32)
cube[8:16, 8:16, 8:16] = 100
fixed, moving = sitk.GetImageFromArray(cube), sitk.GetImageFromArray(cube)
moving.SetOrigin((500, 0, 0))
sitk.WriteImage(fixed, "fixed.nii.gz")
sitk.WriteImage(moving, "moving.nii.gz")
found = {}
for start in ("-ia-identity", "-ia-image-centers"):
    Greedy3D().execute(f"-d 3 -V 0 -a -i fixed.nii.gz moving.nii.gz -m NCC 2x2x2 -n 20x10 {start} -o a.mat -seed 1 -threads 1")
    found[start] = np.loadtxt("a.mat")
    print(f"{start}: no error; translation {found[start][:3, 3].round(1).tolist()}")
assert np.array_equal(found["-ia-identity"], np.eye(4))
assert abs(found["-ia-image-centers"][0, 3] + 500) < 5
END
