"""Segmentations of a run as BIDS derivatives, a derivative data set per method.

OUT/METHOD/dataset_description.json     what made them
OUT/METHOD/dseg.tsv                     the labels: index and name
OUT/METHOD/sub-01/[ses-a/]anat/sub-01[_ses-a][_acq-L]_desc-METHOD_dseg.nii.gz and .json
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path

from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.records.folder import write_json, write_text
from dlfbench.records.record import Record, read_record

BIDS_VERSION = "1.9.0"


def export_bids(run: Path, out: Path) -> dict[str, int]:
    """Writes every segmentation of a run's methods.

    Entities: `sub` the person, `ses` the column `session`, `acq` the column `side`; cases that would still share a name
    are told apart by `acq` with the case's own. Texts that have the same letters and digits are numbered; the JSON file
    beside a label map names its case. Of a case that several folds tested, the first fold's is written.

    Args:
        run: A run folder.
        out: A folder that is new or empty.

    Returns:
        How many label maps of each method.

    Raises:
        InputError: No run, nothing segmented, or the folder is taken.
    """
    record = read_record(run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already and holds something; give another --out")
    stems = _stems(record)
    counts: Counter[str] = Counter()
    for case, paths in _segmentations(record).items():
        for method, path in paths.items():
            _write(out / file_name(method), method, case, stems[case], path)
            counts[method] += 1
    if not counts:
        raise InputError(f"{run}: no method segmented a case; run it again, or give another run folder")
    for method in counts:
        _describe(record, method, out / file_name(method))
    return dict(counts)


def _segmentations(record: Record) -> dict[str, dict[str, Path]]:
    """Files by case and method. A changed copy of a case is none of the person's own images, and is left out."""
    rows = record.results[["test_set", "case"]].drop_duplicates()
    changed = {case for case, about in record.data.cases.items() if about.shift}
    found: dict[str, dict[str, Path]] = {}
    for test_set, case in rows.itertuples(index=False):
        if case not in changed:
            found.setdefault(case, {}).update(record.segmentations(test_set, case))
    return found


def _stems(record: Record) -> dict[str, tuple[tuple[str, str], ...]]:
    """Entities of every case, up to `desc`, unique."""
    cases = record.data.cases
    texts = {
        "sub": {case: about.person or case for case, about in cases.items()},
        "ses": {case: about.columns.get("session", "") for case, about in cases.items()},
        "acq": {case: about.columns.get("side", "") for case, about in cases.items()},
    }
    labels = {key: _labels(of.values()) for key, of in texts.items()}
    stems = {case: tuple((key, labels[key][of[case]]) for key, of in texts.items() if of[case]) for case in cases}
    own = _labels(cases)
    alone = {case: (*(pair for pair in stem if pair[0] != "acq"), ("acq", own[case])) for case, stem in stems.items()}
    shared = Counter(stems.values())
    told = {case: stem if shared[stem] == 1 else alone[case] for case, stem in stems.items()}
    return told if len(set(told.values())) == len(told) else alone  # a case may be called as another's side


def _labels(texts: Iterable[str]) -> dict[str, str]:
    """A label for each text, whatever their order: no two are the same, nor differ in capitals only."""
    found: dict[str, str] = {}
    taken = set[str]()
    for text in sorted({*texts} - {""}, key=lambda text: (_label(text) != text, text)):  # who is called so keeps it
        numbered = (f"{_label(text)}x{number}" for number in count(2))
        found[text] = next(label for label in chain([_label(text)], numbered) if label.lower() not in taken)
        taken.add(found[text].lower())
    return found


def _label(text: str) -> str:
    """Letters and digits only, as values of entities are."""
    return re.sub(r"[^A-Za-z0-9]", "", text) or "x"


def _write(root: Path, method: str, case: str, stem: tuple[tuple[str, str], ...], path: Path) -> None:
    folders = [f"{key}-{value}" for key, value in stem if key in ("sub", "ses")]
    name = "_".join([*(f"{key}-{value}" for key, value in stem), f"desc-{_label(method)}", "dseg"])
    place = root.joinpath(*folders, "anat", f"{name}.nii.gz")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    about = {"Manual": False, "Description": f"{method} of case {case}"}
    write_text(place.with_name(f"{name}.json"), json.dumps(about))


def _describe(record: Record, method: str, root: Path) -> None:
    settings = record.study.methods.get(method, {})
    about = {
        "Name": f"{record.name}: {method}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "dlfbench", "Version": version("dlfbench"), "Description": f"{method} {json.dumps(settings)}"}
        ],
    }
    write_json(root / "dataset_description.json", about)
    rows = "".join(f"{value}\t{name}\n" for name, value in record.data.labels.items())
    write_text(root / "dseg.tsv", f"index\tname\n{rows}")
