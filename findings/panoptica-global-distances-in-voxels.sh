#!/usr/bin/env bash
# panoptica: one call gives HD95 in mm by instance and in voxels for the whole mask
#
# Expected: voxelspacing, given to evaluate, counts for every distance of the result.
# Happens: two boxes one slice of 4 mm apart: sq_hd95 is 4.0, global_bin_hd95 is 1.0; and global_bin_nsd uses a
# tolerance of half a voxel.
# Versions: panoptica 2.1.7
# Matters: the global and instance columns of one table have different units; on thick slices the global ones flatter
# by the slice thickness.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "panoptica==2.1.7"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import os
import warnings
os.environ["PANOPTICA_CITATION_REMINDER"] = "false"
warnings.simplefilter("ignore")
from importlib.metadata import version
import numpy as np
import panoptica as tool

reference, prediction = np.zeros((16, 16, 16), np.uint8), np.zeros((16, 16, 16), np.uint8)
reference[4:11, 4:11, 4:8] = 1
prediction[4:11, 4:11, 5:9] = 1
evaluator = tool.Panoptica_Evaluator(
    expected_input=tool.InputType.SEMANTIC,
    instance_approximator=tool.ConnectedComponentsInstanceApproximator(),
    instance_matcher=tool.NaiveThresholdMatching(),
    global_metrics=[tool.Metric.HD95],
    instance_metrics=[tool.Metric.HD95],
)
found = evaluator.evaluate(prediction, reference, voxelspacing=(1.0, 1.0, 4.0), verbose=False)["ungrouped"]
whole, instance = float(found.global_bin_hd95), float(found.sq_hd95)
print("panoptica", version("panoptica"), "one slice of 4 mm apart: global HD95", whole, "HD95 by instance", instance)
assert (whole, instance) == (1.0, 4.0)
END
