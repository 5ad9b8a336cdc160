#!/usr/bin/env bash
# antspyx: histogram_match_image2 leaves another histogram than the reference's, and can take the contrast of tissues away
#
# Expected: an image matched to the same image with every intensity halved has its intensities halved, as by
# histogram_match_image; the documentation of registration calls the second function the better implementation.
# Happens: how far a quantile has to move is applied not at that quantile's intensity but at the same share of the way
# from the least to the greatest, which is right where the histogram is flat. In an image like a head, of which grey
# and white matter should become 80 and 110, they become 137 and 142; with masks of the head, 81 and 139. The brightest
# voxel keeps its value, twice the reference's greatest.
# Versions: antspyx 0.6.3, numpy 2.3.5
# Matters: images of two scanners are matched before registration, atlas-based segmentation or training: here the
# contrast of grey and white matter is 5 instead of 30, or 58, and nothing says so.
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

random = np.random.default_rng(0)
names = ("air", "fluid", "grey", "white", "fat")
tissue = random.permutation(np.repeat(np.arange(5), (3000, 700, 2400, 1800, 100))).reshape(20, 20, 20)
head = np.array((0, 60, 160, 220, 400))[tissue] + random.normal(0, 5, tissue.shape) * (tissue > 0)
flat = random.permutation(np.linspace(0, 400, tissue.size)).reshape(tissue.shape)
mask = ants.from_numpy((tissue > 0).astype(np.float32))


def match(function, source, *masks):
    image = ants.from_numpy(source.astype(np.float32))
    return function(image, image * 0.5, *masks).numpy()


print("antspyx", version("antspyx"), "each image is matched to itself with half the intensities")
first, second = match(ants.histogram_match_image, head), match(ants.histogram_match_image2, head)
masked = match(ants.histogram_match_image2, head, mask, mask)
means, brightest = {}, np.argmax(head)
for name, image in (("wanted", head / 2), ("histogram_match_image", first), ("histogram_match_image2", second), ("the same with masks", masked)):
    means[name] = [round(float(image[tissue == kind].mean()), 1) for kind in range(5)]
    print(f"{name}: means", dict(zip(names, means[name], strict=True)), f"brightest voxel {image.flat[brightest]:.1f}")
even = float(np.abs(match(ants.histogram_match_image2, flat) - flat / 2).mean())
print(f"an image with a flat histogram, 0 to 400: histogram_match_image2 is {even:.2f} from wanted on average")
assert np.allclose(means["histogram_match_image"], means["wanted"], atol=0.5)
grey, white = means["histogram_match_image2"][2:4]
assert grey > 130 and 0 < white - grey < 8
grey, white = means["the same with masks"][2:4]
assert abs(grey - 80) < 2 and white > 130
assert np.allclose((second.flat[brightest], masked.flat[brightest]), head.max())
assert even < 1
END
