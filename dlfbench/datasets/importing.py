"""Imports a data set of another layout: a copy in nnU-Net's raw layout, each case on one grid.

OUT/imagesTr, labelsTr, dataset.json, cases.tsv   as any data set
OUT/import.json                                   where it came from, and what was resampled, registered and flagged
"""

import csv
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.grids import Resampling, align_rigidly, covered_share, resample_onto
from dlfbench.datasets.readers.interface import Found, FoundCase, Volume
from dlfbench.datasets.readers.volumes import read_volume
from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.images import Grid, as_labels, write_image, write_labels

log = logging.getLogger(__name__)

_READERS = 4  # at a time
_NO_LABEL = "none of the wanted labels occurs"


@dataclass(frozen=True)
class ImportedCase:
    """What became of a case.

    Attributes:
        name: As it is called now: a name that any file system takes.
        resampled: By modality, how those that were on another grid came onto the primary one.
        problems: Why the case cannot be used; empty where it can.
        empty: Whether its label map has none of the wanted labels.
    """

    name: str
    resampled: Mapping[str, Resampling] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    empty: bool = False


def import_dataset(
    found: Found,
    out: Path,
    *,
    rigid: bool = False,
    origin: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Dataset, tuple[ImportedCase, ...]]:
    """Writes what a reader found as a data set of its own.

    Cases with none of the wanted labels are imported with a warning.

    Args:
        found: Cases in their own layout.
        out: A folder that does not exist yet, or is empty.
        rigid: Whether modalities on other grids are registered to the primary one, rather than put where their headers
            say.
        origin: Kind and source, for `import.json`.
        progress: Told of cases done and cases in all.

    Raises:
        InputError: The folder is taken, or labels or any case cannot be used. Nothing half-written is left.
    """
    if wrong := [f"{found.name}: labels: {problem}" for problem in _label_problems(found)]:
        raise InputError(wrong)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already and holds something; give another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".importing-") as scratch:
        made = Path(scratch) / "data"
        cases = tuple(_import_cases(found, made, rigid, progress))
        problems = [problem for case in cases for problem in case.problems] + _doubles(cases)
        if all(case.empty for case in cases):
            problems.append(
                f"{found.name}: case {cases[0].name} and {len(cases) - 1} more: {_NO_LABEL}; ask for others"
            )
        if problems:
            raise InputError(problems)
        _write_tables(found, cases, made, origin)
        read_decathlon(made)
        if out.exists():
            out.rmdir()
        os.replace(made, out)
    for case in cases:
        if case.empty:
            log.warning("%s: case %s: %s: there is nothing to find", found.name, case.name, _NO_LABEL)
    return read_decathlon(out), cases


def _label_problems(found: Found) -> list[str]:
    """What is wrong with the labels, or would be read from the copy as something else."""
    marks = "ignore" in found.labels.names
    meant = "a label is called 'ignore', which marks voxels of which nothing is known; give it another name"
    return found.labels.problems() + ([meant] if marks else [])


def _import_cases(
    found: Found, made: Path, rigid: bool, progress: Callable[[int, int], None] | None
) -> Iterable[ImportedCase]:
    with ThreadPoolExecutor(_READERS) as pool:
        done = pool.map(lambda case: _import_case(found, case, made, rigid), found.cases)
        for number, case in enumerate(done, 1):
            yield case
            if progress:
                progress(number, len(found.cases))


def _import_case(found: Found, case: FoundCase, made: Path, rigid: bool) -> ImportedCase:
    name = file_name(case.name)
    try:
        labels, grid = read_volume(Volume(case.reference))
        volumes = [read_volume(volume) for volume in case.volumes]
        resampled = _write_images(found, case, made / "imagesTr" / name, volumes, grid, rigid)
        empty = not _write_labels(found, case, made / "labelsTr" / f"{name}.nii.gz", labels, grid)
    except InputError as error:
        return ImportedCase(name, problems=tuple(_of_case(problem, case.name) for problem in error.problems))
    return ImportedCase(name, resampled, empty=empty)


def _write_images(
    found: Found,
    case: FoundCase,
    stem: Path,
    volumes: list[tuple[npt.NDArray[Any], Grid]],
    grid: Grid,
    rigid: bool,
) -> dict[str, Resampling]:
    """Writes every modality on the grid of the label map; says how those came there that were on another."""
    here = [v.to_file is None and own.matches(grid) for v, (_, own) in zip(case.volumes, volumes, strict=True)]
    if not any(here):
        raise InputError(
            f"{case.reference}: case {case.name}: expected the grid of one of its images, {volumes[0][1].describe()}; "
            f"found {grid.describe()}; labels are never resampled: give the image that they were drawn on"
        )
    primary = volumes[here.index(True)][0]
    resampled: dict[str, Resampling] = {}
    for channel, (volume, (voxels, own)) in enumerate(zip(case.volumes, volumes, strict=True)):
        path = stem.with_name(f"{stem.name}_{channel:04d}.nii.gz")
        if here[channel]:
            _write(path, volume, voxels, own)
            continue
        modality = found.modalities[channel]
        how = _alignment(case, volume, primary, grid, voxels, own, rigid)
        write_image(path, resample_onto(voxels, own, grid, how.to_file), grid)
        resampled[modality] = how
    return resampled


def _alignment(
    case: FoundCase,
    volume: Volume,
    primary: npt.NDArray[Any],
    grid: Grid,
    voxels: npt.NDArray[Any],
    own: Grid,
    rigid: bool,
) -> Resampling:
    to_file = np.eye(4) if volume.to_file is None else np.asarray(volume.to_file)
    covered = covered_share(own, grid, to_file)
    if covered == 0:
        raise InputError(
            f"{volume.path}: case {case.name}: does not overlap in space with the image of the label map, "
            f"{grid.describe()}; found {own.describe()}; correct the header, or take the case out"
        )
    if not rigid:
        return Resampling(to_file, False, covered)
    try:
        return align_rigidly(primary, grid, voxels, own, to_file)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1]
        raise InputError(f"{volume.path}: case {case.name}: rigid registration failed ({said}); leave it out") from None


def _write(path: Path, volume: Volume, voxels: npt.NDArray[Any], grid: Grid) -> None:
    """As it is where its file is what is wanted; a compressed copy of another otherwise."""
    if volume.is_plain and volume.path.name.endswith(".nii.gz"):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(volume.path, path)
    else:
        write_image(path, voxels, grid)


def _write_labels(found: Found, case: FoundCase, path: Path, voxels: npt.NDArray[Any], grid: Grid) -> bool:
    """Writes a label map with the labels that are wanted; says whether there are any."""
    labels = as_labels(voxels, case.reference)
    ignored = labels == found.labels.ignore
    known = np.isin(labels, found.labels.values) | ignored
    if not known.all() and not found.others_are_background:
        odd = np.unique(labels[~known])
        raise InputError(
            f"{case.reference}: case {case.name}: expected labels {list(found.labels.values)[:12]} of the table, "
            f"found {odd[:5].tolist()}; add them to the table, or correct the label map"
        )
    labels[~known] = 0
    if ignored.all():
        raise InputError(f"{case.reference}: case {case.name}: {_NO_LABEL}, all is to be ignored; take it out")
    write_labels(path, labels, grid)
    return bool((labels[~ignored] > 0).any())


def _of_case(problem: str, case: str) -> str:
    return problem if f"case {case}" in problem else f"{problem} (case {case})"


def _doubles(cases: Iterable[ImportedCase]) -> list[str]:
    seen = set[str]()
    return [
        f"case {case.name}: two cases would be called so; rename the files of one"
        for case in cases
        if case.name in seen or seen.add(case.name)  # type: ignore[func-returns-value]
    ]


def _write_tables(found: Found, cases: tuple[ImportedCase, ...], made: Path, origin: str) -> None:
    header = {
        "name": found.name,
        "description": "; ".join(text for text in (found.description, what_was_done(found, cases)) if text),
        "channel_names": {str(channel): name for channel, name in enumerate(found.modalities)},
        "labels": {**found.labels.by_name, **{name: list(values) for name, values in found.labels.groups}},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (made / "dataset.json").write_text(json.dumps(header, indent=1), encoding="utf-8")
    history = {"origin": origin, "cases": {case.name: _history(case) for case in cases if case.resampled}}
    (made / "import.json").write_text(json.dumps(history, indent=1), encoding="utf-8")
    columns = list(dict.fromkeys(column for case in found.cases for column in case.columns))
    with (made / "cases.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["case", *columns])
        for case in found.cases:
            writer.writerow([file_name(case.name), *(case.columns.get(column, "") for column in columns)])


def _history(case: ImportedCase) -> dict[str, Any]:
    return {
        modality: {
            "to_file": how.to_file.tolist(),
            "registered": how.registered,
            "covered": round(how.covered, 4),
            "moved_mm": round(how.moved_mm, 3),
            "turned_deg": round(how.turned_deg, 3),
            "mutual_information": how.information,
            "flags": how.flags,
        }
        for modality, how in case.resampled.items()
    }


def what_was_done(found: Found, cases: Iterable[ImportedCase]) -> str:
    """One sentence for reports: what was resampled or registered onto the grid of the labels, and what looks wrong."""
    parts = []
    for modality in found.modalities:
        done = [case.resampled[modality] for case in cases if modality in case.resampled]
        if done:
            how = "rigidly registered to and resampled" if any(one.registered for one in done) else "resampled"
            flagged = sum(bool(one.flags) for one in done)
            parts.append(
                f"{modality} {how} onto the grid of the labels by cubic B-splines in {len(done)} of {len(found.cases)} "
                f"cases, {flagged} flagged"
            )
    return "; ".join(parts)
