#!/usr/bin/env bash
# greedy: after a registration by NCC, the images that it keeps by name have noise in them, and later commands use these
#
# Expected: images given to Greedy3D.execute are kept as they were given; resampling the moving image with the warp that
# was found gives its own intensities. On the command line, where every command reads files, it does.
# Happens: for NCC and WNCC, affine or deformable, greedy adds noise to both images so that flat patches have a variance,
# and leaves it in what it keeps. A later -rm by the same name resamples the noisy image: 0 becomes -0.01, 0.004, ...
# SSD and NMI leave them alone, as does an affine step with -noise 0. The caller's own SimpleITK images do not change.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6
# Matters: where an image is flat (around a skull-stripped brain) patch-based label fusion normalises patches of noise.
# Give the image again, under the same name, with the command that resamples.
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

x, y, z = np.meshgrid(*[np.arange(-12, 12)] * 3, indexing="ij")
blob = np.where(x**2 / 49 + y**2 / 36 + z**2 / 25 < 1, 10 + np.cos(x) + np.sin(y / 2) + np.cos(z / 3), 0).astype(np.float32)
np.savetxt("identity.mat", np.eye(4))
QUIET, MOVE = "-V 0 -seed 1 -threads 1", "-rf fixed -ri LINEAR -rm moving moved -r identity.mat"


def kept(registration, **again):
    greedy, moving = Greedy3D(), sitk.GetImageFromArray(blob)
    fixed = sitk.GetImageFromArray(np.roll(blob, 1, axis=0))
    greedy.execute(f"{QUIET} {registration} -i fixed moving -o found", fixed=fixed, moving=moving, found=None)
    assert np.array_equal(sitk.GetArrayFromImage(moving), blob)  # the caller's stays
    greedy.execute(f"{QUIET} {MOVE}", moved=None, **again)
    return np.abs(sitk.GetArrayFromImage(greedy["moved"]) - blob)


found = {metric: kept(f"-a -n 20x10 -m {metric} -ia-image-centers") for metric in ("SSD", "NMI", "NCC 2x2x2", "WNCC 2x2x2")}
found["deformable NCC 2x2x2"] = kept("-n 20x10 -m NCC 2x2x2 -s 1.5vox 0.5vox")
found["NCC 2x2x2 -noise 0"] = kept("-a -n 20x10 -m NCC 2x2x2 -noise 0 -ia-image-centers")
found["NCC 2x2x2, given again"] = kept("-a -n 20x10 -m NCC 2x2x2 -ia-image-centers", moving=sitk.GetImageFromArray(blob))
for name, change in found.items():
    print(f"{name}: {np.mean(change > 0):.0%} of the voxels of the moving image changed, by up to {change.max():.3f}")
changed = {name for name, change in found.items() if change.max() > 0}
assert changed == {"NCC 2x2x2", "WNCC 2x2x2", "deformable NCC 2x2x2"}, changed
assert all(np.mean(found[name] > 0) > 0.99 for name in changed)
END
