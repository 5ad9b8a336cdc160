"""Two scans of one person are brought onto one grid before their segmentations are compared; training curves."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from dlfbench.records.folder import Product, RunFolder
from dlfbench.records.record import read_record
from dlfbench.records.results import write_table
from dlfbench.report.basis.realign import Pair, align_rigidly, realigned_dice
from dlfbench.report.sections.training import chosen_settings, training_curves
from synthetic_run import make_results, make_run

SHAPE = (28, 24, 20)  # z, y, x as SimpleITK's arrays
TURN = sitk.Euler3DTransform((10, 12, 14), 0.08, -0.05, 0.1, (1.5, -1.0, 0.5))


def scan():
    """Blobs of different brightness, and a label map of two of them."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")

    def blob(centre, size):
        return sum(((a - c) / s) ** 2 for a, c, s in zip((z, y, x), centre, size, strict=True))

    near = [blob((11, 10, 8), (6, 4, 3)), blob((18, 14, 12), (4, 5, 3)), blob((14, 12, 10), (12, 10, 9))]
    image = sum(weight * np.exp(-distance) for weight, distance in zip((90, 60, 30), near, strict=True))
    labels = np.where(near[0] < 1, 1, np.where(near[1] < 1, 2, 0)).astype(np.uint8)
    return sitk.GetImageFromArray(image.astype(np.float32)), sitk.GetImageFromArray(labels)


def turned(image, interpolator):
    return sitk.Resample(image, image, TURN, interpolator)


def test_a_turn_is_found():
    image, _ = scan()
    found = align_rigidly(image, turned(image, sitk.sitkLinear))
    points = [(6.0, 8.0, 10.0), (14.0, 16.0, 20.0), (8.0, 14.0, 18.0)]
    # the copy was made by looking TURN(x) up in the image: the image's x is the copy's inverse of it
    back = [TURN.GetInverse().TransformPoint(point) for point in points]
    np.testing.assert_allclose([found.TransformPoint(point) for point in points], back, atol=0.4)


@pytest.fixture
def record(tmp_path):
    """A person scanned twice, the second time turned; mv gives the reference, jlf a shifted one."""
    results = make_results(persons=1, methods={"mv": 0.9, "jlf": 0.9}, bounds={}, labels={1: "a", 2: "b"})
    results = results[results["test_set"] == "uint8"].reset_index(drop=True)
    run, cases = make_run(tmp_path, results), {}
    image, labels = scan()
    for case, move in (("uint8-00L", lambda i, _: i), ("uint8-00R", turned)):
        files = {"images": [tmp_path / f"{case}.nii.gz"], "reference": tmp_path / f"{case}_labels.nii.gz"}
        reference = move(labels, sitk.sitkNearestNeighbor)
        sitk.WriteImage(move(image, sitk.sitkLinear), files["images"][0])
        sitk.WriteImage(reference, files["reference"])
        for method, shift in (("mv", 0), ("jlf", 2 * (case == "uint8-00R"))):
            path = RunFolder(run).segmentation_path(method, 0, case)
            path.parent.mkdir(parents=True, exist_ok=True)
            moved = sitk.GetImageFromArray(np.roll(sitk.GetArrayFromImage(reference), shift, axis=0))
            moved.CopyInformation(reference)
            sitk.WriteImage(moved, path)
        cases[case] = {"images": [str(files["images"][0])], "reference": str(files["reference"]), "columns": {}}
    run.joinpath("cases.json").write_text(json.dumps({"dataset": "made up", "cases": cases}))
    return read_record(run)


def test_dice_of_two_scans(record):
    found = realigned_dice(record, [Pair("uint8", "uint8-00L", "uint8-00R")])
    assert set(found) == {"reference", "mv", "jlf"}
    assert (found["reference"] > 0.8).all()
    np.testing.assert_array_equal(found["mv"], found["reference"])
    assert (found["jlf"] < found["mv"] - 0.05).all()
    assert found["mv"][0, -1] == pytest.approx(found["mv"][0, :-1].mean())


def test_a_reference_of_another_tools_values_is_read_as_the_run_read_it(record):
    plain = realigned_dice(record, [Pair("uint8", "uint8-00L", "uint8-00R")])
    cases = json.loads((record.folder / "cases.json").read_text())
    for case in cases["cases"].values():
        image = sitk.ReadImage(case["reference"])
        values = np.array([1, 17, 53], np.uint8)[sitk.GetArrayFromImage(image)]  # 1 is of no label here
        renamed = sitk.GetImageFromArray(values)
        renamed.CopyInformation(image)
        sitk.WriteImage(renamed, case["reference"])
    cases |= {"labels": {"background": 0, "a": 1, "b": 2}, "mapping": {"pairs": [[17, 1], [53, 2]], "rest": 0}}
    record.folder.joinpath("cases.json").write_text(json.dumps(cases))
    found = realigned_dice(read_record(record.folder), [Pair("uint8", "uint8-00L", "uint8-00R")])
    np.testing.assert_array_equal(found["reference"], plain["reference"])


def test_scans_that_are_not_there_are_compared_by_volume_only(record, caplog):
    (record.folder / "uint8-00R.nii.gz").unlink()
    assert realigned_dice(record, [Pair("uint8", "uint8-00L", "uint8-00R")]) == {}
    assert "compared by volume only" in caplog.text


def test_training_curves_are_drawn_where_they_were_left(tmp_path, caplog):
    run = make_run(tmp_path, make_results(persons=1))
    write_table(read_record(run).timings.assign(task="fit"), run / "timings.parquet")
    folder = RunFolder(run)
    for key, method, text in (("k1", "jlf", "epoch,loss,note\n0,0.9,x\n1,0.25,y\n"), ("k2", "mv", "\0")):
        folder.write_product(Product(key, "fit", "ok", names={"method": method, "fold": 0}))
        folder.model_folder(key).mkdir()
        (folder.model_folder(key) / "curves.csv").write_text(text)
    (picture,) = training_curves(read_record(run))
    assert picture.alt == "Training curves of jlf, one line per fit (1). At the end of the first: loss 0.25."


def test_settings_that_were_chosen_are_told(tmp_path):
    run = make_run(tmp_path, make_results(persons=1))
    folder = RunFolder(run)
    for key, fold in (("k1", 0), ("k2", 7)):  # the second is of a learning curve
        folder.write_product(Product(key, "fit", "ok", names={"method": "jlf", "fold": fold}))
        folder.model_folder(key).mkdir()
        text = 'settings,dice\nas it is,0.8\nbeta=1,\n"beta=4, alpha=1",0.85\n'
        (folder.model_folder(key) / "tried.csv").write_text(text)
    (row,) = chosen_settings(read_record(run)).rows
    assert [cell.text for cell in row] == ["jlf", "0", "beta=4, alpha=1", "0.850", "0.800", "3"]
