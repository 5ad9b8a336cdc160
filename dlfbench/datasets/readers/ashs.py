"""Atlas packages of ASHS (Yushkevich et al., Human Brain Mapping 2015), as `ashs_train` leaves them.

PACKAGE/ashs_atlas_vars.sh                              version, and ASHS_ATLAS_N, the number of atlases
PACKAGE/snap/snaplabels.txt                             label names, as ITK-SNAP keeps them
PACKAGE/train/train000/tse_native_chunk_left.nii.gz     T2, cut around one side
PACKAGE/train/train000/tse_native_chunk_left_seg.nii.gz its labels, on the same grid
PACKAGE/train/train000/mprage.nii.gz                    T1, the whole head on its own grid
PACKAGE/train/train000/flirt_t2_to_t1.mat               rigid registration, from T2 to T1 in RAS mm
PACKAGE/train/train000/greedy_t2_to_t1_chunk_left.mat   its refinement around that side; not in every package

The working folder of `ashs_train` has the package in its folder `final`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.readers.interface import Found, FoundCase, Matrix, Reader, Volume, label_set, missing_files
from dlfbench.datasets.readers.label_tables import read_snap_labels
from dlfbench.errors import InputError

_VARS = "ashs_atlas_vars.sh"
_UPGRADE = "bring the package up to date with ashs_atlas_upgrade.sh of ASHS"


@dataclass(frozen=True)
class Ashs(Reader):
    """An atlas package of ASHS: T2 and T1 of each side of each atlas, a case a side.

    Attributes:
        side: left, right or both.
        t1: Whether T1 is a second modality.
        xval: The cross-validation file that was given to ashs_train -x: each line names the atlases of one test set.
        manifest: The list that was given to ashs_train -D, whose first column names the atlases of `xval` in the order
            of the package; none where `xval` names them train000, train001, ...
    """

    file_options: ClassVar[tuple[str, ...]] = ("xval", "manifest")

    side: Literal["left", "right", "both"] = "both"
    t1: bool = True
    xval: str = ""
    manifest: str = ""

    def read(self, source: Path) -> Found:
        package = source / "final" if (source / "final" / _VARS).is_file() else source
        atlases = _atlases(package)
        labels = read_snap_labels(package / "snap" / "snaplabels.txt")
        folds = self._folds([atlas.name for atlas in atlases])
        sides = ("left", "right") if self.side == "both" else (self.side,)
        cases, problems = [], list[str]()
        for atlas in atlases:
            for side in sides:
                case = self._case(atlas, side, folds.get(atlas.name))
                problems += missing_files(list(_files(case)), case.name)
                cases.append(case)
        if problems:
            raise InputError(problems)
        modalities = ("T2", "T1") if self.t1 else ("T2",)
        about = f"atlas package of ASHS {_version(package)}, {len(atlases)} atlases"
        return Found(source.resolve().name, modalities, label_set(labels), tuple(cases), about)

    def _case(self, atlas: Path, side: str, fold: str | None) -> FoundCase:
        t2 = Volume(atlas / f"tse_native_chunk_{side}.nii.gz")
        t1 = Volume(atlas / "mprage.nii.gz", to_file=_t2_to_t1(atlas, side)) if self.t1 else None
        columns = {"person": atlas.name, "side": side, **({"fold": fold} if fold else {})}
        volumes = (t2, t1) if t1 else (t2,)
        return FoundCase(f"{atlas.name}_{side}", volumes, atlas / f"tse_native_chunk_{side}_seg.nii.gz", columns)

    def _folds(self, codes: list[str]) -> dict[str, str]:
        """The fold in which each atlas is tested."""
        if not self.xval:
            return {}
        code_of = dict(zip(_first_words(Path(self.manifest)), codes, strict=False)) if self.manifest else {}
        folds: dict[str, str] = {}
        problems = []
        for number, line in enumerate(_lines(Path(self.xval)), 1):
            for name in line.split():
                code = code_of.get(name, name)
                if code not in codes:
                    known = ", ".join([*code_of, *codes][:4])
                    problems.append(
                        f"{self.xval}, line {number}: atlas {name!r} is not in the package; expected such as {known}; "
                        "correct it, or give manifest=FILE"
                    )
                elif code in folds:
                    problems.append(
                        f"{self.xval}, line {number}: atlas {name!r} is tested in line {folds[code].removeprefix('x')} "
                        "already; expected each atlas in one line, as a fold tests it; leave out xval, or correct it"
                    )
                folds.setdefault(code, f"x{number}")
        if problems:
            raise InputError(problems[:10])
        return folds


def _atlases(package: Path) -> list[Path]:
    """Folders of the atlases; their number must be what the package says."""
    text = "\n".join(_lines(package / _VARS)) if (package / _VARS).is_file() else ""
    said = re.search(r"^\s*ASHS_ATLAS_N=(\d+)", text, flags=re.M)
    if said is None:
        raise InputError(
            f"{package / _VARS}: expected the file of an ASHS atlas package with ASHS_ATLAS_N, found none; "
            f"give the folder that ashs_train made; {_UPGRADE} where it is an old one"
        )
    found = sorted(path for path in (package / "train").glob("train[0-9][0-9][0-9]") if path.is_dir())
    if len(found) != int(said[1]):
        raise InputError(
            f"{package / 'train'}: expected {said[1]} atlases train000, ... as {_VARS} says, found {len(found)}; "
            "copy the package again"
        )
    return found


def _version(package: Path) -> str:
    match = re.search(r"ASHS_ATLAS_VERSION_FULL=(\S+)", (package / _VARS).read_text())
    return match[1] if match else "of unknown version"


def _t2_to_t1(atlas: Path, side: str) -> Matrix:
    """From T2 to T1 in RAS mm: the refinement around the side first, where there is one, then that of the head."""
    whole, refined = atlas / "flirt_t2_to_t1.mat", atlas / f"greedy_t2_to_t1_chunk_{side}.mat"
    if not whole.is_file():
        old = (
            " (found flirt_t2_to_t1_ITK.txt, of an older ASHS)" if (atlas / "flirt_t2_to_t1_ITK.txt").is_file() else ""
        )
        raise InputError(
            f"{whole}: expected the registration of T2 to T1, found no file{old}; {_UPGRADE}, "
            "or import T2 alone with t1=no"
        )
    matrix = _matrix(whole) @ (_matrix(refined) if refined.is_file() else np.eye(4))
    return tuple(tuple(float(v) for v in row) for row in matrix)


def _matrix(path: Path) -> npt.NDArray[np.float64]:
    try:
        matrix = np.array([[float(word) for word in line.split()] for line in _lines(path) if line.strip()])
    except ValueError:
        matrix = np.zeros(0)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-6:
        raise InputError(f"{path}: expected a 4 x 4 matrix in text, found {matrix.shape}; copy the package again")
    return matrix


def _files(case: FoundCase) -> Iterator[tuple[Path, str]]:
    yield from ((volume.path, what) for volume, what in zip(case.volumes, ("T2 chunk", "T1"), strict=False))
    yield case.reference, "label map of the chunk"


def _first_words(path: Path) -> list[str]:
    return [line.split()[0] for line in _lines(path) if line.strip() and not line.lstrip().startswith("#")]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}; give another file") from None
