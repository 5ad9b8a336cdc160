#!/usr/bin/env bash
# antspyx: dilation and closing of a label map turn label 1 into label 2, and asking for one label does it to all
#
# Expected: multi_label_morphology "preserves pre-existing labels" (its documentation): voxels that had a label keep it,
# and only the labels of label_list grow.
# Happens: dilation and closing turn all of label 1 into 2, and dilation with a mask turns 2 into 4 as well: a closing
# that has nothing to close leaves no voxel of label 1, with a Dice of 0 to the map it was made from. Of a dilated label
# 1 only what was added is 1, a shell around a core of 2. label_list=[3] is not heeded: every label is changed. With
# label_list=[3, 4] these two grow and the others stay, as they should.
# Versions: antspyx 0.6.3, numpy 2.3.5
# Matters: 1 and 2 are often left and right, or an organ and its tumour: label maps that were closed before they are
# used or scored have one structure instead of two; larger numbers, of which one tries a few, come out right.
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

labels = np.zeros((16, 16, 16), np.float32)
labels[3:6, 3:6, 3:6], labels[9:12, 3:6, 3:6] = 1, 2
labels[3:6, 9:12, 9:12], labels[10:13, 10:13, 10:13] = 3, 4
image, everywhere = ants.from_numpy(labels), ants.from_numpy(np.ones_like(labels))


def after(operation, **options):
    """What voxels of labels 1 to 4 hold now, and how many voxels each label has."""
    found = ants.multi_label_morphology(image, operation, 1, **options).numpy()
    kept = {value: np.unique(found[labels == value]).astype(int).tolist() for value in range(1, 5)}
    return kept, [int((found == value).sum()) for value in range(1, 5)]


print("antspyx", version("antspyx"), "four cubes of 27 voxels, far apart, labels 1 to 4; radius 1")
runs = {
    "closing": after("MC"),
    "dilation": after("MD"),
    "dilation, mask that is 1 everywhere": after("MD", dilation_mask=everywhere),
    "dilation, label_list=[3]": after("MD", label_list=[3]),
    "dilation, label_list=[3, 4]": after("MD", label_list=[3, 4]),
}
for name, (kept, voxels) in runs.items():
    print(f"{name}: voxels of label", ", ".join(f"{old} hold {new}" for old, new in kept.items()), "- voxels by label", voxels)
wrong, more = {1: [2], 2: [2], 3: [3], 4: [4]}, {1: [2], 2: [4], 3: [3], 4: [4]}
assert runs["closing"] == (wrong, [0, 54, 27, 27])
assert runs["dilation"] == runs["dilation, label_list=[3]"] == (wrong, [90, 144, 117, 117])
assert runs["dilation, mask that is 1 everywhere"] == (more, [90, 117, 117, 144])
assert runs["dilation, label_list=[3, 4]"] == ({value: [value] for value in range(1, 5)}, [27, 27, 117, 117])
END
