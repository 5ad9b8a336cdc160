#!/usr/bin/env bash
# seg-metrics: a structure that was missed entirely has a Hausdorff distance of 0 mm
#
# Expected: infinite, NaN, the image's diagonal, or an error.
# Happens: hd95, hd and msd are 0.0, as for a perfect segmentation, while Dice is 0; the same for a structure that was
# invented.
# Versions: seg-metrics 1.2.8
# Matters: a method that misses hard cases has the better mean HD95.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "seg-metrics==1.2.8"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import logging
from importlib.metadata import version
import numpy as np
from seg_metrics.seg_metrics import write_metrics

logging.disable(logging.CRITICAL)
cube, nothing = np.zeros((12, 12, 12), np.uint8), np.zeros((12, 12, 12), np.uint8)
cube[3:9, 3:9, 3:9] = 1
for name, reference, prediction in (("missed", cube, nothing), ("invented", nothing, cube)):
    found = write_metrics(labels=[1], gdth_img=reference, pred_img=prediction, spacing=[1.0, 1.0, 1.0])
    found = found[0] if isinstance(found, list) else found
    values = {key: float(found[key][0]) for key in ("dice", "hd", "hd95", "msd")}
    print("seg-metrics", version("seg-metrics"), name, values)
    assert values == {"dice": 0, "hd": 0, "hd95": 0, "msd": 0}
END
