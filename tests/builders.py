"""Small datasets and methods that tests are made of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlfbench.images import Grid, write_image

SHAPE = (16, 18, 14)
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real images, where they are there."""


def write_dataset(
    folder: Path,
    *,
    people: int = 6,
    sides: str = "LR",
    modalities: int = 1,
    groups: Sequence[str] = ("a",),
    seed: int = 0,
) -> Path:
    """A dataset in nnU-Net's raw layout: per case two touching blobs, shifted and noisy."""
    generator = np.random.default_rng(seed)
    rows = ["case\tperson\tside\tgroup"]
    for person in range(people):
        for side in sides:
            name = f"p{person:02d}{side}"
            write_case(folder, name, generator, modalities=modalities)
            rows.append(f"{name}\tperson{person:02d}\t{side}\t{groups[person % len(groups)]}")
    (folder / "cases.tsv").write_text("\n".join(rows) + "\n")
    channels = {str(c): f"m{c}" for c in range(modalities)}
    labels = {"background": 0, "front": 1, "back": 2}
    header = {"name": "tiny", "channel_names": channels, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(header))
    return folder


def write_case(folder: Path, name: str, generator: np.random.Generator, *, modalities: int = 1) -> None:
    """One case: two ellipsoids in a row along y."""
    points = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")).astype(float)
    centre = np.array(SHAPE) / 2 + generator.normal(0, 0.6, 3)
    away = (
        (points - centre.reshape(3, 1, 1, 1)) / np.reshape([4.2, 5.5, 3.6], (3, 1, 1, 1)) * generator.uniform(0.9, 1.1)
    )
    inside = (away**2).sum(axis=0) < 1
    labels = np.where(inside, np.where(away[1] < 0, 1, 2), 0).astype(np.uint8)
    grid = Grid.of(SHAPE, np.diag([1.0, 1.2, 1.5, 1.0]))
    for channel in range(modalities):
        image = (
            40.0 * (labels > 0)
            + 25.0 * (labels == 1 + channel)
            + generator.normal(0, 4, SHAPE)
            + 10 * points[0] / SHAPE[0]
        )
        write_image(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz", image.astype(np.float32), grid)
    write_image(folder / "labelsTr" / f"{name}.nii.gz", labels, grid)


def write_nnunet_model(folder: Path, *, plans: dict[str, Any] | None = None, **header: Any) -> Path:
    """A folder that looks like a trained nnU-Net: everything but its weights."""
    (folder / "fold_0").mkdir(parents=True)
    (folder / "fold_0" / "checkpoint_final.pth").touch()
    (folder / "plans.json").write_text(json.dumps({"image_reader_writer": "SimpleITKIO", **(plans or {})}))
    channels = {"channel_names": {"0": "m1", "1": "M0"}, "labels": {"background": 0, "back": 1, "front": 2}}
    (folder / "dataset.json").write_text(json.dumps({**channels, **header}))
    return folder
