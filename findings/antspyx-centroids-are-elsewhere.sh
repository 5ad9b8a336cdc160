#!/usr/bin/env bash
# antspyx: label_image_centroids exchanges the first and the last axis in a cubic image, and is wrong otherwise in any other
#
# Expected: the mean index of a label's voxels, and with physical=True the same point in mm.
# Happens: in an image of as many voxels along each axis the first and the last coordinate are exchanged. In others no
# order of axes makes them right: in 20x24x30 voxels a box of 4 voxels a side that is moved by 5 along the first axis moves
# by 6 along the last, and the point found for it is 7.5 and then 2.2 voxels from its centre. physical=True changes
# nothing: voxels are returned as if they were mm. label_stats has the right ones, in mm.
# Versions: antspyx 0.6.3, numpy 2.3.5
# Matters: centroids of labels are landmarks that start a registration, features of an atlas, and a measure of where a
# structure was found; in a cubic test image the error is easily taken for another order of axes.
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

print("antspyx", version("antspyx"), "one box of 4x4x4 voxels; voxels of 1x1x2 mm, origin -10, 5, 7 mm")
errors, steps = {}, {}
for shape in ((24, 24, 24), (20, 24, 30), (30, 24, 20)):
    points = []
    for first in (4, 9):
        labels = np.zeros(shape, np.float32)
        labels[first : first + 4, 10:14, 12:16] = 1
        image = ants.from_numpy(labels, spacing=(1.0, 1.0, 2.0), origin=(-10.0, 5.0, 7.0))
        true = np.argwhere(labels).mean(axis=0)
        point = ants.label_image_centroids(image)["vertices"][0]
        physical = ants.label_image_centroids(image, physical=True)["vertices"][0]
        right = ants.label_stats(image, image).query("LabelValue == 1")[["x", "y", "z"]].to_numpy()[0]
        print(f"{shape} true {true.tolist()}, found {point.tolist()}, with physical=True {physical.tolist()}; in mm {right.tolist()}")
        assert np.array_equal(physical, point)
        assert np.allclose(right, true * (1, 1, 2) + (-10, 5, 7))
        points.append(point)
        errors[shape, first] = float(np.linalg.norm(point - true))
        if len(set(shape)) == 1:
            assert np.allclose(point, true[::-1])
    steps[shape] = (points[1] - points[0]).tolist()
    print(f"{shape} the box moved by [5, 0, 0]; the centroid that is found moved by", steps[shape])
print("distance to the true centre in voxels:", [round(error, 1) for error in errors.values()])
assert steps[24, 24, 24] == [0, 0, 5] and steps[20, 24, 30] == [0, 0, 6] and steps[30, 24, 20] == [0, -1, 4]
assert min(errors.values()) > 2 and round(errors[(20, 24, 30), 4], 1) == 7.5
END
