"""The page that shows what is in a data set."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.look.measure import measure, outliers
from dlfbench.datasets.look.page import write_look
from dlfbench.datasets.look.slices import draw_slices
from dlfbench.images import Grid, read_labels, write_image

Cli = Callable[..., tuple[int, str]]


def test_outliers_by_hand() -> None:
    # logarithms base 2: 0 0 1 1 1 2 2 and 6; median 1, distances 1 1 0 0 0 1 1 5, their median 1: z of 64 is 0.6745 * 5
    values = np.array([1.0, 1, 2, 2, 2, 4, 4, 64])
    assert not outliers(values).any()
    assert outliers(np.append(values[:-1], 128)).tolist() == [False] * 7 + [True]  # z = 0.6745 * 6 = 4.0
    assert not outliers(np.array([1.0, 1, 1, 900])).any()  # too few to say what is usual
    assert not outliers(np.array([0.0, 1, 1.1, 0.9, 1.2, 1.05, 0.95])).any()  # absent is not small


def test_what_stands_out_is_marked(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", people=4, modalities=2, groups="ab")
    data = read_decathlon(folder)
    odd, turned = data.cases[2], data.cases[5]
    labels, grid = read_labels(odd.reference)
    labels[:] = 0
    labels[0:15, 1:17, 1:13] = 1
    write_image(odd.reference, labels, grid)
    for path in (*turned.images, turned.reference):
        voxels, own = read_labels(path) if path == turned.reference else (turned.read_target().images[0], grid)
        write_image(path, voxels, Grid.of(own.shape, np.diag([-1.0, 1.2, 1.6, 1.0])))
    found = {facts.case.name: facts for facts in measure(data)}
    assert found[odd.name].marks[:2] == ("no voxel of back", "labels reach the edge of the image")
    assert found[odd.name].marks[2].startswith("front ")
    assert found[turned.name].orientation == "LAS"
    assert "orientation LAS, most have RAS" in found[turned.name].marks
    assert "voxels of 1x1.2x1.6 mm, most have 1x1.2x1.5" in found[turned.name].marks
    assert sum(bool(facts.marks) for facts in found.values()) == 2
    assert found[data.cases[0].name].volumes_mm3[0] == pytest.approx(
        (read_labels(data.cases[0].reference)[0] == 1).sum() * 1.0 * 1.2 * 1.5
    )


def test_what_nobody_drew_does_not_stand_out(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", people=6, sides="L")
    for number in (0, 1):
        path = folder / "labelsTr" / f"p{number:02d}L.nii.gz"
        labels, grid = read_labels(path)
        write_image(path, labels * (labels != 2), grid)
    (folder / "cases.tsv").write_text("case\tlabels\np00L\tfront\n")
    undrawn, absent, *others = measure(read_decathlon(folder))
    assert np.isnan(undrawn.volumes_mm3[1])
    assert undrawn.marks == ()
    assert absent.marks == ("no voxel of back",)
    assert others[0].volumes_mm3[1] > 0
    write_look(read_decathlon(folder), tmp_path / "look.html")


def test_contours_lie_where_the_labels_are() -> None:
    from io import BytesIO

    from PIL import Image

    labels = np.zeros((20, 20, 20), np.int32)
    labels[12:18, 10:14, 9:13] = 1  # on the person's right of the middle
    picture = draw_slices(np.zeros((1, 20, 20, 20), np.float32), labels, Grid.of((20, 20, 20), np.eye(4)), (0, 1))
    shown = np.asarray(Image.open(BytesIO(picture)).convert("RGB")).astype(int)
    coloured = np.argwhere(shown[:, : shown.shape[1] // 3, 0] > 120)  # in the axial slice
    assert coloured[:, 1].max() < shown.shape[1] / 6  # the person's right is on the left


def test_the_page_is_one_file_and_escapes_names(tmp_path: Path, dlfbench: Cli) -> None:
    folder = write_dataset(tmp_path / "data", people=3)
    code, text = dlfbench("data", "look", folder, "--out", tmp_path / "look.html")
    assert code == 0, text
    page = (tmp_path / "look.html").read_text()
    assert re.search(
        r"</header>\s*<nav.*</nav>\s*<main>", page
    )  # the places that the style sheet of reports has for them
    assert page.count("<figure>") == 6
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    data = read_decathlon(folder)
    write_look(replace(data, name="<b>odd", cases=data.cases[:2]), tmp_path / "few.html")
    assert "<b>odd" not in (tmp_path / "few.html").read_text()
