#!/usr/bin/env bash
# greedy: outside of the atlas's field of view a warped label map holds the lowest label present, and -rb is ignored
#
# Expected: what lies outside gets 0, or the value given by -rb (background), as it does with -ri NN.
# Happens: with -ri LABEL it gets the lowest label that occurs in the map: 3 in a map of 3 and 5, whether -rb says 9
# or not.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6
# Matters: a label map that has no 0 (a cropped or whole-brain parcellation) fills everything outside with a real
# structure.
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

labels = np.full((12, 12, 12), 3, np.int16)
labels[4:9, 4:9, 4:9] = 5
sitk.WriteImage(sitk.GetImageFromArray(labels), "label.nii.gz")
np.savetxt("far.mat", [[1, 0, 0, 6], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
found = {}
for way in ("-ri LABEL 0.2vox", "-rb 9 -ri LABEL 0.2vox", "-rb 9 -ri NN"):
    Greedy3D().execute(f"-d 3 -V 0 -rf label.nii.gz {way} -rm label.nii.gz moved.nii.gz -r far.mat")
    found[way] = np.unique(sitk.GetArrayFromImage(sitk.ReadImage("moved.nii.gz"))).tolist()
    print(f"{way}: labels {found[way]} after a move by half of the image's width")
assert found["-ri LABEL 0.2vox"] == found["-rb 9 -ri LABEL 0.2vox"] == [3, 5]
assert found["-rb 9 -ri NN"] == [3, 5, 9]
END
