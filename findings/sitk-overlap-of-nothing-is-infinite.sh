#!/usr/bin/env bash
# SimpleITK: two empty masks have a Dice of infinity, a Jaccard of 1.8e308, and a Dice of 0 when asked by label
#
# Expected: undefined (NaN), or 1, or an error; and the same by every way of asking.
# Happens: LabelOverlapMeasuresImageFilter gives inf for GetDiceCoefficient(), the largest double for
# GetJaccardCoefficient(), and 0 for GetDiceCoefficient(1), with a printed warning.
# Versions: SimpleITK 2.5.7, numpy 2.4.6
# Matters: one such case makes a mean infinite, or passes np.isfinite and makes it 1e305; by label it counts as a
# total failure although nothing was there to find.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk

nothing = sitk.GetImageFromArray(np.zeros((5, 5, 5), np.uint8))
overlap = sitk.LabelOverlapMeasuresImageFilter()
overlap.Execute(nothing, nothing)
dice, jaccard, by_label = overlap.GetDiceCoefficient(), overlap.GetJaccardCoefficient(), overlap.GetDiceCoefficient(1)
print(f"two empty masks: Dice {dice}, Jaccard {jaccard}, Dice of label 1 {by_label}")
assert dice == float("inf") and np.isfinite(jaccard) and jaccard > 1e308 and by_label == 0
END
