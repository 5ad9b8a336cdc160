#!/usr/bin/env bash
# antspyx: z-scored images are registered kilometres apart, and nothing fails
#
# Expected: a registration that does not ask how intensities are scaled, or one that says that it failed.
# Happens: by default ants.registration starts by bringing the centres of mass together. Of an image with values below 0
# these are anywhere, and of a z-scored one, whose values sum to 0 but for rounding, millions of mm away. The two images
# then share no voxel, the search stays where it is, and the call returns transforms and a warped image without one value
# of the moving image. No error is raised. With initial_transform="Identity", or before
# the z-scores, the same images are registered to a tenth of a voxel.
# Versions: antspyx 0.6.3, numpy 2.3.5
# Matters: z-scores are the usual normalisation of MRI, and images less their background (or in Hounsfield units) have
# values below 0 too; labels warped so are empty, and an average over atlases takes them for background.
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

places = np.indices((32, 36, 28)).astype(float)


def blobs(centre):
    """Two soft blobs around a point; voxels of 1 mm."""
    body = sum(((place - c) / size) ** 2 for place, c, size in zip(places, centre, (9, 11, 8)))
    spot = sum(((place - c - off) / 4) ** 2 for place, c, off in zip(places, centre, (3, -4, 2)))
    return (100 * np.exp(-body) + 60 * np.exp(-spot)).astype(np.float32)


def z_scores(image):
    return ((image - image.mean()) / image.std()).astype(np.float32)


fixed, moving = blobs((15, 17, 13)), blobs((17, 18, 14))
print("antspyx", version("antspyx"), "an image of two blobs, and the same moved by (2, 1, 1) mm; ants.registration(.., 'Rigid')")
found = {}
for name, scaled, options in (
    ("as they are", np.asarray, {}),
    ("z-scores", z_scores, {}),
    ("z-scores, initial_transform='Identity'", z_scores, {"initial_transform": "Identity"}),
):
    ants.config.set_ants_deterministic(True, 1)
    pair = [ants.from_numpy(np.ascontiguousarray(scaled(image))) for image in (fixed, moving)]
    transforms = ants.registration(*pair, "Rigid", **options)["fwdtransforms"]
    covered = ants.apply_transforms(pair[0], ants.from_numpy(np.ones(fixed.shape, np.float32)), transforms).numpy()
    moved = ants.apply_ants_transform_to_point(ants.read_transform(transforms[0]), (15.0, 17.0, 13.0))
    shift = np.array(moved) - (15, 17, 13)
    found[name] = float((covered > 0.5).mean()), float(np.linalg.norm(shift - (2, 1, 1)))
    print(f"{name}: moved by {np.round(shift, 1).tolist()} mm; of the fixed image the moving one covers {found[name][0]:.0%}")
assert found["as they are"][0] > 0.8 and found["as they are"][1] < 0.3
assert found["z-scores"][0] == 0 and found["z-scores"][1] > 1e5, "it does not fly away any more"
assert found["z-scores, initial_transform='Identity'"][0] > 0.8 and found["z-scores, initial_transform='Identity'"][1] < 0.3
END
