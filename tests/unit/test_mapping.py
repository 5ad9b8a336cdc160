"""Other tools' label values as those of a study."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.datasets.check import check_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.mapping import LabelMapping, read_mapping
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, Grid, write_labels
from dlfbench.records.predictions import against_references, score_predictions, with_mapping
from dlfbench.records.results import read_results

LABELS = LabelSet((0, 1, 2), ("background", "front", "back"))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_table_maps_values_to_names_and_values(tmp_path: Path) -> None:
    path = written(tmp_path / "m.tsv", "from\tto\n17\tfront\n53\t2\n54\tback\n99\tignore\n*\tbackground\n")
    found = read_mapping(path, LABELS)
    assert found == LabelMapping(((17, 1), (53, 2), (54, 2), (99, UNKNOWN)), 0)
    mapped = found.apply(np.array([[0, 17, 53], [54, 99, 1234]]), "x")
    assert mapped.tolist() == [[0, 1, 2], [2, UNKNOWN, 0]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("snap.txt", '# ITK-SNAP\n0 0 0 0 0 0 0 "Clear"\n17 255 0 0 1 1 1 "front"\n53 0 255 0 1 1 1 "back"\n'),
        ("lut.txt", "0 Unknown 0 0 0 0\n17 front 1 2 3 0\n53 back 4 5 6 0\n# end\n"),
        ("dseg.tsv", "index\tname\n17\tfront\n53\tback\n"),
    ],
)
def test_tables_of_names_map_by_name(name: str, text: str, tmp_path: Path) -> None:
    assert read_mapping(written(tmp_path / name, text), LABELS) == LabelMapping(((17, 1), (53, 2)))


def test_values_without_a_label_are_listed_and_refused() -> None:
    with pytest.raises(InputError, match=r"x: expected values that the label mapping has, found 3, 40000; map them"):
        LabelMapping(((17, 1),)).apply(np.array([0, 17, 3, 40_000]), "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from\tto\n17\tfrontt\n", "value 17: unknown label 'frontt'"),
        ("from\tto\nx\tfront\n", "expected integers from 0, or *, found 'x'"),
        ("from\tto\n17\tfront\n17\tback\n", "stands twice"),
        ("index\tname\n17\tother\n", "none of its names is a label of the study: front, back"),
    ],
)
def test_mappings_that_cannot_be_meant_are_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_mapping(written(tmp_path / "m.tsv", text), LABELS)
    assert said in caught.value.problems[0]


def test_a_value_that_the_mapping_lists_is_not_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_labels(path, np.array([[[0, 3, 17, 4]]]), Grid.of((1, 1, 4), np.eye(4)))
    case = Case("a", (), path, ignore=3, mapping=LabelMapping(((3, 2), (17, 1)), 0))
    assert case.read_reference()[0].tolist() == [[[0, 2, 1, 0]]]
    assert case.partly_known == ""
    other = replace(case, mapping=LabelMapping(((17, 1),), 0))
    assert other.read_reference()[0].tolist() == [[[0, UNKNOWN, 1, 0]]]
    assert other.partly_known == replace(case, mapping=LabelMapping(((3, UNKNOWN),))).partly_known == "ignore 3"


def test_a_command_may_write_the_values_of_its_tool(tmp_path: Path) -> None:
    import sys

    from dlfbench.segmenters.command import Command
    from dlfbench.segmenters.interface import Context
    from dlfbench.volumes import AtlasSet, Target

    script = written(
        tmp_path / "tool.py",
        "import sys, nibabel, numpy\nimage = nibabel.load(sys.argv[1])\n"
        "found = numpy.where(image.get_fdata() > 0, 53, 0).astype('int16')\n"
        "nibabel.save(nibabel.Nifti1Image(found, image.affine), sys.argv[2])\n",
    )
    run = f"{sys.executable} {script} {{target}} {{output}}"
    image = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)
    target = Target("t", image, Grid.of((4, 5, 6), np.eye(4)))
    none = AtlasSet((), np.empty((0, *image.shape), np.float32), np.empty((0, 4, 5, 6), np.int16), (0, 1, 2))
    table = written(tmp_path / "m.tsv", "from\tto\n53\t2\n")
    method = Command(run, map=str(table))
    assert table in method.code_files
    labels = method.segment(target, none, Context(tmp_path)).labels
    assert (labels == np.where(image[0] > 0, 2, 0)).all()
    table.write_text("from\tto\n17\t1\n")
    with pytest.raises(ValueError, match="found 53; map them"):
        method.segment(target, none, Context(tmp_path))


def relabelled(source: Path, folder: Path) -> Path:
    """The label maps with FreeSurfer's values."""
    folder.mkdir()
    for path in source.iterdir():
        file = nib.load(path)
        labels = np.array([0, 17, 53], np.int16)[np.asarray(file.dataobj)]
        nib.save(nib.Nifti1Image(labels, file.affine), folder / path.name)
    return folder


def test_predictions_and_data_of_another_tool(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=2, sides="L")
    table = written(tmp_path / "m.tsv", "from\tto\n17\tfront\n53\tback\n")
    theirs = relabelled(data / "labelsTr", tmp_path / "theirs")
    scoring = against_references("fs", theirs, data / "labelsTr")
    rows = read_results(score_predictions(scoring, tmp_path / "plain"))
    assert set(rows.status) == {"failed"}
    rows = read_results(score_predictions(with_mapping(scoring, table), tmp_path / "mapped"))
    assert (rows.dice == 1).all()
    for path in theirs.iterdir():
        path.rename(data / "labelsTr" / path.name)
    dataset = read_decathlon(data)
    with pytest.raises(InputError, match=r"found \[17, 53\]"):
        check_dataset(dataset)
    mapped = dataset.with_mapping(read_mapping(table, dataset.labels))
    check_dataset(mapped)
    assert set(np.unique(mapped.cases[0].read_reference()[0])) == {0, 1, 2}
    assert mapped.cases[0].reference_digest() != dataset.cases[0].reference_digest()
