#!/usr/bin/env bash
# MONAI: RemoveSmallObjects removes specks from a mask of 0 and 1, and none from the same mask with a 2 or a 3 in it
#
# Expected: objects are connected components, whatever number a structure has.
# Happens: where no value is above 1 they are. Otherwise all voxels of one number count as one object, however
# scattered: 1000 single voxels of label 2 stay with min_size=64 (as label 1 all go), and the specks of label 1 stay
# as soon as label 2 is anywhere in the case. With independent_channels=False, or a channel for each label, specks go.
# Versions: monai 1.6.1, torch 2.14.1, numpy 2.3.5, scikit-image 0.26.0
# Matters: cases of one study are cleaned or not by whether the second structure was found in them, and distances such
# as HD95 show it: who compares methods with this clean-up compares by it, with no word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  "monai==1.6.1" "torch==2.14.1" "numpy==2.3.5" "scikit-image==0.26.0"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'END'
from importlib.metadata import version

import numpy as np
from monai.transforms import RemoveSmallObjects

organ = np.zeros((1, 40, 40, 40), np.uint8)
organ[:, 5:15, 5:15, 5:15] = 1
organ[:, 30, 30, 30] = 1
dust = np.zeros_like(organ)
dust[:, ::4, ::4, ::4] = 1
both = organ.copy()
both[:, 20:30, 5:15, 5:15] = 2


def left(labels, value=1, **options):
    return int((np.asarray(RemoveSmallObjects(min_size=64, **options)(labels)) == value).sum())


print("monai", version("monai"), "scikit-image", version("scikit-image"), "min_size=64")
alone, beside, split = left(organ), left(both), left(both, independent_channels=False)
channels = np.concatenate([both == 1, both == 2]).astype(np.uint8)
hot = int(np.asarray(RemoveSmallObjects(min_size=64)(channels))[0].sum())
print(f"cube of 1000 voxels and one voxel apart: {alone} left of {int(organ.sum())}")
print(f"the same beside a cube of label 2: {beside} left; independent_channels=False {split}; a channel for each label {hot}")
ones, twos = left(dust), left(2 * dust, 2)
print(f"{int(dust.sum())} single voxels: {ones} left as label 1, {twos} left as label 2")
assert (alone, beside, split, hot) == (1000, 1001, 1000, 1000)
assert (ones, twos) == (0, 1000)
END
