#!/usr/bin/env bash
# batchgeneratorsv2: a rotation by 0 degrees moves a patch by half a voxel, and small labels shrink or vanish
#
# Expected: SpatialTransform with a rotation by 0 degrees, or a scaling by 1, gives the patch that it gives without them.
# Happens: so it does where image and patch both have an even or both an odd size. Otherwise the middle of the image is
# between two voxels: without rotation the patch is cut half a voxel beside it, with one it is interpolated there. Of a
# cube of 7x7x7 voxels 216 of 343 are left (by mode_seg nearest and bilinear alike), of one of 2x2x2 one of 8, and a
# single voxel vanishes by the default, bilinear.
# Versions: batchgeneratorsv2 0.3.6, torch 2.14.1
# Matters: nnU-Net 2.8.1 loads 249x249x249 voxels for a patch of 128x128x128, so that sizes differ in this way on every
# axis. Who checks what a training sees by turning nothing, or turns about one axis alone, gets blurred images and
# smaller labels, and thin structures disappear.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  "batchgeneratorsv2==0.3.6" "torch==2.14.1" "numpy==2.3.5"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
from importlib.metadata import version

import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

print("batchgeneratorsv2", version("batchgeneratorsv2"))
WAYS = {
    "cut": {"p_rotation": 0.0, "p_scaling": 0.0},
    "turned by 0": {"p_rotation": 1.0, "rotation": 0.0, "p_scaling": 0.0},
    "scaled by 1": {"p_rotation": 0.0, "p_scaling": 1.0, "scaling": 1.0},
}


def left(size: int, patch: int, side: int, mode: str, way: str) -> tuple[int, float]:
    """Voxels of a cube that are left, and the place along x of the patch's first voxel in the image."""
    label = torch.zeros((1, size, size, size), dtype=torch.int16)
    first = (size - side) // 2
    label[:, first : first + side, first : first + side, first : first + side] = 1
    x = torch.arange(size, dtype=torch.float32)[None, :, None, None].expand(1, size, size, size).clone()
    change = SpatialTransform(
        (patch,) * 3, 0, False, p_elastic_deform=0.0, mode_seg=mode, **WAYS[way]
    )
    found = change(image=x, segmentation=label)
    return int(found["segmentation"].sum()), round(float(found["image"][0, 0, patch // 2, patch // 2]), 3)


for size in (20, 21):
    for way in WAYS:
        cubes = {side: left(size, 16, side, "bilinear", way)[0] for side in (7, 2, 1)}
        place = left(size, 16, 7, "bilinear", way)[1]
        print(f"image {size}, patch 16, {way}: starts at {place}; of cubes of 343, 8, 1 voxels are left {list(cubes.values())}")
        expected = {7: 343, 2: 8, 1: 1} if size == 20 or way == "cut" else {7: 216, 2: 1, 1: 0}
        assert cubes == expected, (cubes, expected)
        assert place == (2.5 if size == 21 and way != "cut" else 2.0)
assert left(21, 16, 7, "nearest", "turned by 0")[0] == 216
END
