#!/usr/bin/env bash
# SimpleITK: STAPLE's consensus changes when empty slices are added around the image
#
# Expected: background that no rater ever marked does not change which voxels are foreground.
# Happens: two raters, one drawing 512 voxels and one 320 of them: STAPLE says 512 in a tight crop and 320 after
# padding with 20 empty voxels.
# Versions: SimpleITK 2.5.7, numpy 2.4.6
# Matters: the prior is the share of foreground in the image, so a consensus depends on how the images were cropped;
# crops of one study must be alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk

large = np.zeros((20, 20, 20), np.uint8)
large[6:14, 6:14, 6:14] = 1
small = large.copy()
small[:, :, 11:] = 0
voxels = {}
for padding in (0, 5, 20):
    raters = [sitk.GetImageFromArray(np.pad(mask, padding)) for mask in (large, small)]
    consensus = sitk.GetArrayFromImage(sitk.STAPLE(raters, 1.0)) > 0.5
    voxels[padding] = int(consensus.sum())
    print(f"padding {padding}: consensus of {large.sum()} and {small.sum()} voxels has {voxels[padding]}")
assert voxels == {0: 512, 5: 512, 20: 320}
END
