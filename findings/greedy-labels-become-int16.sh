#!/usr/bin/env bash
# greedy: labels above 32767 come back negative, although the file they were read from has 32 bits
#
# Expected: resampled labels have the values and the type of the label map.
# Happens: -ri LABEL writes int16 whatever is read: 40000 becomes -25536; no message.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6
# Matters: parcellations with large label values (instances, codes of structures) are silently relabelled.
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

labels = np.zeros((10, 10, 10), np.int32)
labels[3:7, 3:7, 3:7] = 40000
sitk.WriteImage(sitk.GetImageFromArray(labels), "label.nii.gz")
np.savetxt("identity.mat", np.eye(4))
Greedy3D().execute("-d 3 -V 0 -rf label.nii.gz -ri LABEL 0.2vox -rm label.nii.gz out.nii.gz -r identity.mat")
out = sitk.ReadImage("out.nii.gz")
values = np.unique(sitk.GetArrayFromImage(out)).tolist()
print("read: 32 bits, 0 and 40000; written:", out.GetPixelIDTypeAsString(), values)
assert values == [-25536, 0]
END
