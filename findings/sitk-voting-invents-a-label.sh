#!/usr/bin/env bash
# SimpleITK: where raters tie, voting and multi-label STAPLE write a label that no rater drew, or 0
#
# Expected: a tie goes to one of the tied labels.
# Happens: two raters who disagree (1 against 2) get label 3, the highest plus one, from LabelVoting and
# MultiLabelSTAPLE; LabelVoting has no room for one where an 8-bit label is 255, and the whole structure becomes 0,
# with a printed warning only.
# Versions: SimpleITK 2.5.7, numpy 2.4.6
# Matters: an even number of atlases makes a phantom structure that enters the table of labels, or erases one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk

def rater(value):
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[2:8, 2:8, 2:8] = value
    return sitk.GetImageFromArray(mask)

one, two, highest = rater(1), rater(2), rater(255)
voted = np.unique(sitk.GetArrayFromImage(sitk.LabelVoting([one, two]))).tolist()
staple = np.unique(sitk.GetArrayFromImage(sitk.MultiLabelSTAPLE([one, two]))).tolist()
full = np.unique(sitk.GetArrayFromImage(sitk.LabelVoting([highest, two]))).tolist()
print("raters draw 1 and 2: LabelVoting gives", voted, "MultiLabelSTAPLE", staple)
print("raters draw 255 and 2: LabelVoting gives", full)
assert voted == staple == [0, 3] and full == [0]
END
