#!/usr/bin/env bash
# nnU-Net: of two configurations the one that invents a label no case has is the best, and the one without a fault is not
#
# Expected: find_best_configuration takes the one with the higher Dice; a label that no validation case has and that was
# rightly not found is left out.
# Happens: such a label has no Dice (NaN), and then the mean over labels has none: a NaN is never the higher one. The
# configuration that puts one voxel of it anywhere has a Dice of 0 for it and so a mean: 2d, with 0.70 for the organ,
# 0.33 for the tumour and a voxel of an invented label, is "Best" with 0.344, and 3d_fullres, without a wrong voxel, is
# not. With the two in the other order it stops, with an IndexError.
# Versions: nnunetv2 2.8.1, torch 2.14.1, torchvision 0.29.1, SimpleITK 2.5.7, numpy 2.3.5
# Matters: with one fold (-f 0), or few cases, rare labels are missing from the validation cases: the configuration is
# then chosen by who makes false alarms, and the inference instructions and the post-processing are written for that one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  "nnunetv2==2.8.1" "torch==2.14.1" "torchvision==0.29.1" "SimpleITK==2.5.7" "numpy==2.3.5"
cd "$folder"
export nnUNet_raw="$folder/raw" nnUNet_preprocessed="$folder/preprocessed" nnUNet_results="$folder/results"
cat > program.py <<'END'
import contextlib
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunetv2.evaluation.find_best_configuration import find_best_configuration

DATASET, CONFIGURATIONS = "Dataset001_Rare", ("2d", "3d_fullres")


def write(folder, labels, cases=("a", "b")):
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        sitk.WriteImage(sitk.GetImageFromArray(labels), folder / f"{case}.nii.gz")


def main():
    reference = np.zeros((16, 16, 16), np.uint8)
    reference[3:11, 3:11, 3:11] = 1
    reference[6:9, 6:9, 6:9] = 2
    shifted = np.roll(reference, 2, axis=0)
    shifted[0, 0, 0] = 3
    dataset = {
        "labels": {"background": 0, "organ": 1, "tumour": 2, "rare": 3},
        "channel_names": {"0": "MR"},
        "file_ending": ".nii.gz",
    }
    plans = {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "configurations": {name: {"architecture": {}} for name in CONFIGURATIONS},
    }
    write(Path("raw", DATASET, "labelsTr"), reference)
    write(Path("preprocessed", DATASET, "gt_segmentations"), reference)
    Path("preprocessed", DATASET, "nnUNetPlans.json").write_text(json.dumps(plans))
    models = {name: Path("results", DATASET, f"nnUNetTrainer__nnUNetPlans__{name}") for name in CONFIGURATIONS}
    for name, labels in zip(CONFIGURATIONS, (shifted, reference), strict=True):
        write(models[name] / "fold_0" / "validation", labels)
        (models[name] / "plans.json").write_text(json.dumps(plans))
        (models[name] / "dataset.json").write_text(json.dumps(dataset))
    trained = tuple({"plans": "nnUNetPlans", "configuration": name, "trainer": "nnUNetTrainer"} for name in CONFIGURATIONS)
    with contextlib.redirect_stdout(io.StringIO()):
        found = find_best_configuration(DATASET, trained, allow_ensembling=False, num_processes=1, folds=(0,))
    print("nnunetv2", version("nnunetv2"), "two validation cases, neither has the label 'rare'")
    dice = {}
    for name, model in models.items():
        summary = json.loads((model / "crossval_results_folds_0" / "summary.json").read_text())
        dice[name] = [*(value["Dice"] for value in summary["mean"].values()), summary["foreground_mean"]["Dice"]]
        print(f"{name}: Dice of organ, tumour, rare, and their mean:", [round(value, 3) for value in dice[name]])
    best = found["best_model_or_ensemble"]["selected_model_or_models"][0]["configuration"]
    print("best configuration:", best)
    assert np.allclose(dice["2d"], (0.699, 0.333, 0, 0.344), atol=0.001)
    assert np.array_equal(dice["3d_fullres"], (1, 1, np.nan, np.nan), equal_nan=True)
    assert best == "2d"


if __name__ == "__main__":  # nnU-Net starts processes of its own
    main()
END
"$folder/venv/bin/python" -W ignore program.py
