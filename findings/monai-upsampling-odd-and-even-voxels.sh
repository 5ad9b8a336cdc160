#!/usr/bin/env bash
# MONAI: halving the voxel size makes a label of 3x3x3 voxels too large or too small, by whether its first index is even
#
# Expected: Spacing from 2 mm to 1 mm with mode="nearest" gives every voxel of a label map 8 voxels.
# Happens: every second new voxel lies exactly between two old ones, and such ties go to the even index (torch rounds
# half to even): along each axis a voxel with an even index gets 3 new ones, its odd neighbour gets 1. One voxel becomes
# 27 or 1, a cube of 27 voxels becomes 343 or 125 instead of 216. In images of 32, 64 or 128 voxels it is so
# throughout; in other sizes rounding errors decide some of the ties. mode=0 (by scipy) and scale_extent=True give 216.
# Versions: monai 1.6.1, torch 2.14.1, numpy 2.3.5, scipy 1.16.3
# Matters: label maps of 2 mm or of thick slices are often brought to half their voxel size: volumes of small structures
# are off by -42% to +59%, thin ones grow or fade slice by slice, and the image that goes with them is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  "monai==1.6.1" "torch==2.14.1" "numpy==2.3.5" "scipy==1.16.3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'END'
from importlib.metadata import version

import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

WAYS = {"nearest": {"mode": "nearest"}, "0": {"mode": 0}, "nearest, scale_extent": {"mode": "nearest", "scale_extent": True}}
found = {}
print("monai", version("monai"), "torch", version("torch"), "32x32x32 voxels of 2 mm to 1 mm")
for side in (1, 3):
    for first in (10, 11):
        cube = torch.zeros((1, 32, 32, 32), dtype=torch.uint8)
        cube[:, first : first + side, first : first + side, first : first + side] = 1
        image = MetaTensor(cube, affine=torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0], dtype=torch.float64)))
        for way, options in WAYS.items():
            found[side, first, way] = int(Spacing((1.0, 1.0, 1.0), **options)(image).sum())
        sizes = {way: found[side, first, way] for way in WAYS}
        print(f"cube of {side**3} from index {first}: expected {(2 * side) ** 3}, voxels by mode {sizes}")
assert [found[side, first, "nearest"] for side in (1, 3) for first in (10, 11)] == [27, 1, 343, 125]
for way in ("0", "nearest, scale_extent"):
    assert [found[side, first, way] for side in (1, 3) for first in (10, 11)] == [8, 8, 216, 216]
END
