#!/usr/bin/env bash
# antspyx: in joint label fusion background has no vote: one atlas of five makes a voxel foreground against four
#
# Expected: a voxel gets the label with the largest share of the weights, background among them.
# Happens: joint_label_fusion lets only labels above 0 compete. Where one atlas says 1 and four say 0, the probability
# image of label 1 is 0.17, and the segmentation says 1: it is the union of all candidates within the mask. With
# max_lab_plus_one=True, which is off, background competes and the structure has its size; so it does where background
# is another number.
# Versions: antspyx 0.6.3, numpy 2.3.5
# Matters: comparisons of label fusion: a structure grows to where any atlas puts it, more so the more atlases there
# are, and joint label fusion seems far worse than it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "antspyx==0.6.3" "numpy==2.3.5"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
from importlib.metadata import version

import ants
import numpy as np

generator = np.random.default_rng(0)
cube, wide = np.zeros((20, 20, 20)), np.zeros((20, 20, 20))
cube[7:13, 7:13, 7:13] = 1
wide[4:16, 4:16, 4:16] = 1
only_one_atlas = (wide == 1) & (cube == 0)


def scan():
    return ants.from_numpy((50 + 100 * cube + generator.normal(0, 5, cube.shape)).astype(np.float32))


target, atlases = scan(), [scan() for _ in range(5)]


def fused(candidates, **more):
    labels = [ants.from_numpy(candidate.astype(np.uint32)) for candidate in candidates]
    mask = ants.from_numpy(wide.astype(np.float32))
    options = {"beta": 2, "rho": 0.1, "rad": 2, "r_search": 1, **more}
    return ants.joint_label_fusion(target, mask, atlases, label_list=labels, **options)


candidates = [wide, cube, cube, cube, cube]
plain = fused(candidates)
share = plain["probabilityimages"][0].numpy()[only_one_atlas].mean()
size = int((plain["segmentation"].numpy() == 1).sum())
with_option = int((fused(candidates, max_lab_plus_one=True)["segmentation"].numpy() == 1).sum())
renamed = fused([np.where(candidate == 0, 10, candidate) for candidate in candidates])
as_ten = int((renamed["segmentation"].numpy() == 1).sum())
print("antspyx", version("antspyx"), "numpy", np.__version__)
print(f"candidates of {int(wide.sum())}, {int(cube.sum())}, {int(cube.sum())}, {int(cube.sum())}, {int(cube.sum())} voxels")
print(f"fused: {size} voxels; where one atlas of five says so its share is {share:.2f}")
print(f"with max_lab_plus_one=True: {with_option}; with 10 for background: {as_ten}")
assert share < 0.3
assert size == wide.sum()
assert with_option == as_ten == cube.sum()
END
