#!/usr/bin/env bash
# nnU-Net: with regions, the post-processing that it chooses cuts holes in the regions around, and makes the mean worse
#
# Expected: determine_postprocessing, which find_best_configuration calls, keeps a step only where it helps; a speck of
# one region that is dropped becomes what is around it.
# Happens: a dropped component of an inner region (enhancing) is set to background, not to the region it lies in (core,
# whole). Only the Dice of the region that is cleaned decides: enhancing rises from 0.923 to 1, so it is taken, while
# core falls from 1 to 0.933, whole from 1 to 0.981, and the mean of the three from 0.974 to 0.971. The mean is
# compared, and each class with it, for the first step only, that of the whole foreground.
# Versions: nnunetv2 2.8.1, torch 2.14.1, torchvision 0.29.1, SimpleITK 2.5.7, numpy 2.3.5
# Matters: nested regions as of brain tumours: nnU-Net with its post-processing can score below nnU-Net without it on
# the very cases that chose it, and there is background inside of a tumour.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  "nnunetv2==2.8.1" "torch==2.14.1" "torchvision==0.29.1" "SimpleITK==2.5.7" "numpy==2.3.5"
cd "$folder"
export nnUNet_raw="$folder" nnUNet_preprocessed="$folder" nnUNet_results="$folder"
cat > program.py <<'END'
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunetv2.postprocessing.remove_connected_components import determine_postprocessing


def main():
    reference = np.zeros((20, 20, 20), np.uint8)
    reference[4:16, 4:16, 4:16] = 1
    reference[6:14, 6:14, 6:14] = 3
    reference[6:8, 6:14, 6:14] = 2
    prediction = reference.copy()
    prediction[6, 6:14, 6:14] = 3
    for name, labels in (("references", reference), ("predictions", prediction)):
        Path(name).mkdir()
        for case in ("a", "b"):
            sitk.WriteImage(sitk.GetImageFromArray(labels), f"{name}/{case}.nii.gz")
    dataset = {
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]},
        "regions_class_order": [1, 2, 3],
        "channel_names": {"0": "MR"},
        "file_ending": ".nii.gz",
    }
    plans = {"image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager"}
    determine_postprocessing("predictions", "references", plans, dataset, num_processes=1)
    dice = {}
    for name in ("predictions", "predictions/postprocessed"):
        summary = json.loads(Path(name, "summary.json").read_text())
        dice[name] = [round(value["Dice"], 3) for value in (*summary["mean"].values(), summary["foreground_mean"])]
    after = sitk.GetArrayFromImage(sitk.ReadImage("predictions/postprocessed/a.nii.gz"))
    holes = int(((after == 0) & (reference > 0)).sum())
    print("nnunetv2", version("nnunetv2"), "regions:", list(summary["mean"]), "and their mean")
    print("Dice before:", dice["predictions"], "after:", dice["predictions/postprocessed"])
    print("voxels of the tumour that are background: before", int(((prediction == 0) & (reference > 0)).sum()), "after", holes)
    assert sorted(dice["predictions"]) == [0.923, 0.974, 1, 1] and dice["predictions"][-1] == 0.974
    assert sorted(dice["predictions/postprocessed"]) == [0.933, 0.971, 0.981, 1] and dice["predictions/postprocessed"][-1] == 0.971
    assert holes == 64


if __name__ == "__main__":  # nnU-Net starts processes of its own
    main()
END
"$folder/venv/bin/python" -W ignore program.py
