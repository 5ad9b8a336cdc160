"""What the reader makes of names and tables; damage that a run meets is in e2e/test_bad_input.py."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from builders import write_dataset
from dlfbench import plugins
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.known import known_datasets, open_dataset
from dlfbench.errors import InputError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", people=2)


def rewrite_json(data: Path, **changes: object) -> None:
    path = data / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def problems_of(data: Path) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_decathlon(data)
    return caught.value.problems


@pytest.mark.parametrize(
    "labels",
    [
        {"back": 2, "background": 0, "front": 1},
        {"2": "back", "0": "background", "1": "front"},
        {"10": "back", "2": "front"},
    ],
    ids=["nnU-Net", "MSD", "MSD without background"],
)
def test_labels_ascend_by_value_with_background_first(labels: dict[str, Any], data: Path) -> None:
    rewrite_json(data, labels=labels)
    found = read_decathlon(data).labels
    assert found.names == ("background", "front", "back")
    assert found.values in {(0, 1, 2), (0, 2, 10)}


def test_names_of_labels_may_be_numbers(data: Path) -> None:
    rewrite_json(data, labels={"0": 0, "7": 1, "3": 2})
    found = read_decathlon(data).labels
    assert (found.names, found.values) == (("0", "7", "3"), (0, 1, 2))


def test_regions_are_groups_of_labels(data: Path) -> None:
    rewrite_json(data, labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": [3], "ignore": 4})
    found = read_decathlon(data).labels
    assert found.names == ("background", "label 1", "label 2", "active")
    assert found.groups == (("whole", (1, 2, 3)), ("core", (2, 3)))
    assert found.ignore == 4


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"1": "front", "2": "front"}, "2 labels are called 'front'"),
        ({"background": 0, "all labels": 1}, "'all labels'"),
        ({"background": 0, " ": 1}, "cannot be told apart"),
        ({"background": 0, "a\nb": 1}, "cannot be told apart"),
        ({"background": 0, "front": 1, "back": 1}, "each once"),
        ({"background": 0, "front": 2**31}, "at most 2147483647"),
        ({"background": 0, "front": 1, "ignore": 1}, "both to be ignored"),
        ({"background": 0, "front": 1, "ignore": [2, 3]}, "one value to ignore"),
        ({"background": 0, "front": True}, "expected an integer"),
        ({"background": 0, "front": []}, "expected an integer"),
        ({"background": 0, "front": 1.5}, "expected an integer"),
    ],
)
def test_labels_that_fail_later_are_refused(labels: dict[str, Any], said: str, data: Path) -> None:
    rewrite_json(data, labels=labels)
    (problem,) = problems_of(data)
    assert said in problem


def test_a_byte_order_mark_is_none(data: Path) -> None:
    path = data / "dataset.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_decathlon(data).cases) == 4


def test_the_dataset_table_says_where_files_are(data: Path) -> None:
    (data / "cases.tsv").unlink()
    (data / "elsewhere").mkdir()
    image, label = data / "elsewhere/scan.nii.gz", data / "elsewhere/drawn.nii.gz"
    (data / "imagesTr/p00L_0000.nii.gz").rename(image)
    (data / "labelsTr/p00L.nii.gz").rename(label)
    rewrite_json(data, dataset={"one": {"images": ["elsewhere/scan.nii.gz"], "label": str(label)}})
    (case,) = read_decathlon(data).cases
    assert (case.name, case.images, case.reference) == ("one", (image,), label)
    rewrite_json(data, dataset={"one": {"images": "elsewhere/scan.nii.gz", "label": str(label)}})
    assert "case one: expected {'images': [FILE, ...]" in problems_of(data)[0]


def test_an_ending_that_is_not_read_is_refused(data: Path) -> None:
    rewrite_json(data, file_ending=".png")
    assert problems_of(data)[0].endswith("expected '.nii.gz' or '.nii', found '.png'; convert the files")
    rewrite_json(data, file_ending=".nrrd")
    assert "data import 'folder[images=m0:imagesTr/{case}_0000.nrrd,labels=labelsTr/{case}.nrrd" in problems_of(data)[0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("case\tperson\tperson\np00L\ta\tb\n", "2 columns are called 'person'"),
        ('case\tperson\np00L\t"a\np00R\tb"\n', "a quote spans several"),
        ('case\tperson\np00L\t"a\np00R\tb\n', "quotes in pairs"),
        ("case\tperson\np00L\ta\tb\n", "expected 2 cells as in the first line, found 3"),
        ("case\tlabels\np00L\tfrontt\n", "unknown label 'frontt'; known: back, front; did you mean 'front'?"),
    ],
)
def test_tables_in_which_persons_would_go_astray_are_refused(table: str, said: str, data: Path) -> None:
    (data / "cases.tsv").write_text(table)
    assert said in problems_of(data)[0]


def test_a_link_to_nowhere_is_no_missing_table(data: Path) -> None:
    (data / "cases.tsv").unlink()
    (data / "cases.tsv").symlink_to("moved/cases.tsv")
    assert "leads nowhere (moved/cases.tsv)" in problems_of(data)[0]


def test_quoted_cells_and_spaces_around_are_read(data: Path) -> None:
    (data / "cases.tsv").write_text('case\tperson \tlabels\n p00L\t"a b"\tfront, back\n\n')
    case = read_decathlon(data).case("p00L")
    assert (case.person, case.undrawn) == ("a b", ())


def test_modalities_ascend_by_number(data: Path) -> None:
    rewrite_json(data, channel_names={str(c): f"m{c}" for c in (10, 2, 0)})
    with pytest.raises(InputError, match="p00L_0002"):  # the second and third files are what is missing
        read_decathlon(data)


def test_msd_lists_its_cases_and_other_files_are_left_alone(data: Path) -> None:
    listed = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in ("p01R", "p00L")]
    rewrite_json(data, training=listed)
    (data / "cases.tsv").unlink()
    assert [case.name for case in read_decathlon(data).cases] == ["p00L", "p01R"]


def test_names_may_end_in_four_digits(data: Path) -> None:
    (data / "cases.tsv").unlink()
    for name in ("p00L", "p00R", "p01L", "p01R"):
        (data / f"imagesTr/{name}_0000.nii.gz").rename(data / f"imagesTr/{name}_2012.nii.gz")
        (data / f"labelsTr/{name}.nii.gz").rename(data / f"labelsTr/{name}_2012.nii.gz")
    assert [case.name for case in read_decathlon(data).cases] == ["p00L_2012", "p00R_2012", "p01L_2012", "p01R_2012"]


def test_opening_touches_no_voxel(data: Path) -> None:
    for path in data.glob("*Tr/*.nii.gz"):
        path.write_bytes(b"")
    assert len(read_decathlon(data).cases) == 4


def test_empty_cells_of_the_table_are_no_value(data: Path) -> None:
    (data / "cases.tsv").write_text("case\tperson\tgroup\np00L\tann\t\np00R\n")
    cases = {case.name: dict(case.columns) for case in read_decathlon(data).cases}
    assert cases == {"p00L": {"person": "ann"}, "p00R": {}, "p01L": {}, "p01R": {}}


def test_table_and_files_are_checked_at_once(data: Path) -> None:
    (data / "cases.tsv").write_text("case\tgroup\np00L\ta\np00L\tb\nghost\tc\n")
    (data / "labelsTr/p00R.nii.gz").unlink()
    twice, ghost, missing = problems_of(data)
    assert "case p00L has 2 rows" in twice
    assert "'ghost' is not in the dataset" in ghost
    assert "case p00R: the label map is missing" in missing


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing modality file": (lambda d: rewrite_json(d, channel_names={"0": "a", "1": "b"}), "p00L_0001.nii.gz"),
    "no labels": (lambda d: rewrite_json(d, labels=None), "`labels`"),
    "only background": (lambda d: rewrite_json(d, labels={"background": 0}), "at least one other value"),
    "value twice": (lambda d: rewrite_json(d, labels={"a": 1, "b": 1}), "each once"),
    "label value with a fraction": (lambda d: rewrite_json(d, labels={"background": 0, "a": 1.5}), "an integer"),
    "modality as list": (lambda d: rewrite_json(d, channel_names=["T1"]), "expected {'0': NAME"),
    "listed without label": (lambda d: rewrite_json(d, training=[{"image": "a"}]), "1 of 1 entries"),
    "listed as number": (lambda d: rewrite_json(d, training=[3]), "found 3"),
    "listed twice": (lambda d: rewrite_json(d, training=["labelsTr/p00L.nii.gz"] * 2), "p00L is listed twice"),
    "other ending": (lambda d: rewrite_json(d, file_ending=".nii"), "*.nii, found none"),
    "JSON list": (lambda d: (d / "dataset.json").write_text("[]"), "expected an object"),
    "JSON not text": (lambda d: (d / "dataset.json").write_bytes(b"\xff\xfe{"), "not valid JSON"),
    "dataset.json is a folder": (lambda d: ((d / "dataset.json").unlink(), (d / "dataset.json").mkdir()), "be read"),
    "table not UTF-8": (lambda d: (d / "cases.tsv").write_bytes(b"case\tperson\np00L\tJos\xe9\n"), "UTF-8"),
    "table with commas": (lambda d: (d / "cases.tsv").write_text("case,group\np00L,a\n"), "column `case`"),
    "table empty": (lambda d: (d / "cases.tsv").write_text(""), "column `case`"),
    "no folder": (lambda d: shutil.rmtree(d), "folder not found"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_structural_damage_is_named(kind: str, data: Path) -> None:
    damage, said = DAMAGE[kind]
    damage(data)
    problems = problems_of(data)
    assert said in problems[0]
    assert all(problem.startswith(str(data)) and "\n" not in problem for problem in problems)


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Declares datasets as a package's entry points would: NAME = source of the function `opened`."""

    def declare(**sources: str) -> None:
        entries = []
        for name, source in sources.items():
            module = f"strange_{name}"
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.setitem(sys.modules, module, ModuleType(module))  # undone: the next test imports its own
            monkeypatch.delitem(sys.modules, module)
            entries.append(EntryPoint(name, f"{module}:opened", plugins.DATASETS))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(plugins, "entry_points", lambda group: entries if group == plugins.DATASETS else [])
        plugins.reload_plugins()

    yield declare
    monkeypatch.undo()
    plugins.reload_plugins()


def test_a_package_may_add_a_dataset(declare: Callable[..., None], data: Path) -> None:
    read = "from dlfbench.datasets.decathlon import read_decathlon\nfrom pathlib import Path\n"
    declare(mine=f"{read}def opened():\n    'Two people.'\n    return read_decathlon(Path({str(data)!r}))\n")
    assert len(open_dataset("mine").cases) == 4
    assert [d.description for d in known_datasets() if d.name == "mine"] == ["Two people."]


def test_a_broken_package_is_listed_and_breaks_nothing_else(declare: Callable[..., None], data: Path) -> None:
    declare(absent="import no_such_library\n", broken="1 / 0\n")
    reasons = {d.name: d.reason for d in known_datasets()}
    assert reasons["absent"] == "no_such_library is not installed; run: pip install no_such_library"
    assert "ZeroDivisionError" in reasons["broken"]
    assert len(open_dataset(data).cases) == 4


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_library\n", "pip install no_such_library"),
        ("def opened():\n    raise KeyError('x')\n", "opening it failed: KeyError: 'x'"),
        ("def opened():\n    return 3\n", "expected a dlfbench.Dataset from its plugin, found int"),
    ],
)
def test_a_dataset_that_cannot_be_opened_says_why(source: str, said: str, declare: Callable[..., None]) -> None:
    declare(mine=source)
    with pytest.raises(InputError, match="'mine'") as caught:
        open_dataset("mine")
    assert said in caught.value.problems[0]


def test_our_names_cannot_be_taken(declare: Callable[..., None]) -> None:
    declare(phantom="def opened():\n    return 3\n")
    ours, theirs = (d for d in known_datasets() if d.name == "phantom")
    assert (ours.available, theirs.available) == (True, False)
    assert "choose another" in theirs.reason
