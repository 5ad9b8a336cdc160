"""Makes strange datasets, studies and arguments by the hundred and gives them to `dlfbench run --dry-run`.

    python tests/bad_inputs.py 300

Every kind knows whether it is harmless, or must be refused and with which words. What is refused rightly, accepted
rightly, or ends in a traceback is counted; exit code 1 where anything is not as it should be.
"""

import contextlib
import gzip
import io
import json
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from builders import write_dataset

Array = npt.NDArray[Any]
Random = np.random.Generator
CASES = ("p00L", "p01L", "p02L", "p03L")


@dataclass
class Try:
    """One input: a dataset to damage, and the arguments that come to `run --dry-run`.

    Attributes:
        data: A copy of a good dataset.
        random: Where the kind takes what it chooses.
        arguments: After `--data DATA`.
    """

    data: Path
    random: Random
    arguments: list[str]

    def __post_init__(self) -> None:
        self.case = str(self.random.choice(CASES))

    @property
    def image(self) -> Path:
        return self.data / "imagesTr" / f"{self.case}_0000.nii.gz"

    @property
    def label(self) -> Path:
        return self.data / "labelsTr" / f"{self.case}.nii.gz"

    @property
    def table(self) -> Path:
        return self.data / "cases.tsv"

    @property
    def header(self) -> Path:
        return self.data / "dataset.json"

    def number(self, low: float, high: float) -> float:
        return float(np.exp(self.random.uniform(np.log(low), np.log(high))))

    def edit(self, path: Path, change: Callable[[Array], Array], affine: Array | None = None) -> None:
        file = nib.load(path)
        voxels = change(np.asarray(file.dataobj))
        made = nib.Nifti1Image(voxels, file.affine if affine is None else None)
        if affine is not None:
            made.header.set_sform(affine, code=1)
        nib.save(made, path)

    def put(self, path: Path, value: float, kind: npt.DTypeLike = np.float64) -> None:
        """A value into some voxels."""

        def change(voxels: Array) -> Array:
            voxels = voxels.astype(kind)
            voxels[tuple(self.random.integers(0, n, 3) for n in voxels.shape)] = value
            return voxels

        self.edit(path, change)

    def place(self, path: Path, change: Array) -> None:
        """An affine, multiplied from the right or replaced by what is not finite."""
        self.edit(path, np.asarray, np.asarray(nib.load(path).affine) @ change)

    def json(self, **changes: Any) -> None:
        self.header.write_text(json.dumps({**json.loads(self.header.read_text()), **changes}))

    def labels(self, **more: Any) -> None:
        self.json(labels={**json.loads(self.header.read_text())["labels"], **more})

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.random.integers(len(choices)))]


Change = Callable[[Try], object]


def shifted(t: Try, vox: float) -> None:
    """The label map's grid, moved by so much of a voxel in some direction."""
    affine = np.asarray(nib.load(t.label).affine).copy()
    direction = t.random.normal(size=3)
    affine[:3, 3] += vox * direction / np.linalg.norm(direction)  # the smallest edge is 1 mm
    t.edit(t.label, np.asarray, affine)


def turned(t: Try, degrees: float) -> None:
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    t.edit(t.label, np.asarray, turn @ np.asarray(nib.load(t.label).affine))


def cut_file(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def noise_file(t: Try, path: Path) -> None:
    content = t.random.bytes(int(t.number(1, 3000)))
    path.write_bytes(t.pick(content, gzip.compress(content)))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_nii(t: Try) -> None:
    """Every file without compression."""
    for path in [*t.data.glob("*Tr/*.nii.gz")]:
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    t.json(file_ending=".nii")


def to_dataset_table(t: Try, **odd: Any) -> None:
    """nnU-Net's table of files, which lie somewhere else."""
    (t.data / "files").mkdir()
    table: dict[str, Any] = {}
    for case in CASES:
        image = (t.data / f"imagesTr/{case}_0000.nii.gz").rename(t.data / f"files/{case}-image.nii.gz")
        label = (t.data / f"labelsTr/{case}.nii.gz").rename(t.data / f"files/{case}-label.nii.gz")
        table[case] = {"images": [t.pick(f"files/{image.name}", str(image))], "label": f"files/{label.name}"}
    t.json(dataset={**table, **({t.case: {**table[t.case], **odd}} if odd else {})})


def every_label(t: Try, change: Callable[[Array], Array]) -> None:
    for path in (t.data / "labelsTr").iterdir():
        t.edit(path, change)


def slope(t: Try) -> None:
    """A label map behind a scale factor, as some converters write it."""
    file = nib.load(t.label)
    made = nib.Nifti1Image(np.asarray(file.dataobj).astype(np.int16), file.affine)
    made.header.set_slope_inter(1 + t.number(1e-5, 4e-4), 0)
    nib.save(made, t.label)


def dangling(t: Try) -> None:
    t.table.unlink()
    t.table.symlink_to("moved.tsv")


def study(t: Try, text: str, encoding: str = "utf-8") -> None:
    path = t.data.parent / "study.toml"
    path.write_text(text, encoding=encoding)
    t.arguments.insert(0, str(path))


def flag(*arguments: str) -> Change:
    return lambda t: t.arguments.extend(arguments)


def table(text: str, encoding: str = "utf-8") -> Change:
    return lambda t: t.table.write_bytes(text.encode(encoding))


def rows(t: Try) -> list[str]:
    return t.table.read_text().splitlines()


def rename_folder(t: Try) -> None:
    t.data = t.data.rename(t.data.with_name(t.pick("a [b] c", "datä [/bold]", "x;y'z", "[red]", "-")))


REFUSED: dict[str, tuple[Change, str]] = {
    "image missing": (lambda t: t.image.unlink(), "the image is missing"),
    "label map missing": (lambda t: t.label.unlink(), "the label map is missing"),
    "image cut off": (lambda t: cut_file(t.image, t.random.uniform(0, 0.95)), "cannot be read"),
    "label map cut off": (lambda t: cut_file(t.label, t.random.uniform(0, 0.9)), "cannot be read"),
    "image of noise": (lambda t: noise_file(t, t.image), "cannot be read"),
    "label map of noise": (lambda t: noise_file(t, t.label), "cannot be read"),
    "image is a folder": (lambda t: replace_by_folder(t.image), "the image is missing"),
    "table is a folder": (lambda t: replace_by_folder(t.table), "cannot be read"),
    "header is a folder": (lambda t: replace_by_folder(t.header), "cannot be read"),
    "shape of the label map": (
        lambda t: t.edit(t.label, lambda a: np.delete(a, 0, int(t.random.integers(3)))),
        "resample",
    ),
    "grid moved": (lambda t: shifted(t, t.number(0.015, 100)), "resample"),
    "grid turned": (lambda t: turned(t, t.number(0.2, 90)), "resample"),
    "spacing differs": (lambda t: t.place(t.label, np.diag([t.number(1.01, 5), 1, 1, 1])), "resample"),
    "singular": (lambda t: t.place(t.image, np.diag([*t.random.permutation([1, 1, 0]), 1])), "singular"),
    "collinear": (
        lambda t: t.place(t.label, np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
        "singular",
    ),
    "affine not finite": (
        lambda t: t.edit(t.image, np.asarray, np.diag([*t.random.permutation([1, 1, t.pick(np.nan, np.inf)]), 1])),
        "not finite",
    ),
    "voxel not a number": (lambda t: t.put(t.image, np.nan), "finite voxels"),
    "voxel infinite": (lambda t: t.put(t.image, t.pick(np.inf, -np.inf)), "finite voxels"),
    "voxel too large": (lambda t: t.put(t.image, t.pick(1e39, -1e300)), "finite voxels"),
    "constant image": (lambda t: t.edit(t.image, lambda a: np.full_like(a, t.pick(0, 7, -1e5))), "voxels that differ"),
    "undeclared label": (lambda t: t.put(t.label, t.pick(3, 255, 40_000)), "declare them"),
    "negative label": (lambda t: t.put(t.label, t.pick(-1, -300)), "found [-"),
    "fraction": (lambda t: t.put(t.label, t.pick(0.5, 1.002, 1 / 3)), "integers"),
    "label not finite": (lambda t: t.put(t.label, t.pick(np.nan, np.inf)), "integers"),
    "label past 32 bits": (lambda t: t.put(t.label, t.pick(2.0**31, 1e300)), "at most 2147483647"),
    "thin": (
        lambda t: [t.edit(path, lambda a: a[..., : int(t.pick(1, 2, 3))]) for path in (t.image, t.label)],
        "voxels",
    ),
    "time points": (lambda t: t.edit(t.image, lambda a: np.stack([a] * int(t.pick(2, 3, 7)), 3)), "3D"),
    "flat": (lambda t: t.edit(t.image, lambda a: a[..., 0]), "3D"),
    "colour": (
        lambda t: t.edit(t.image, lambda a: np.zeros(a.shape, [(c, "u1") for c in "RGB"])),
        "one real number",
    ),
    "complex": (lambda t: t.edit(t.image, lambda a: a.astype(np.complex64)), "one real number"),
    "complex label": (lambda t: t.edit(t.label, lambda a: a.astype(np.complex64)), "integers"),
    "no foreground anywhere": (lambda t: every_label(t, np.zeros_like), "no label map of 4 has a label"),
    "header cut off": (lambda t: cut_file(t.header, t.random.uniform(0, 0.95)), "not valid JSON"),
    "header of another kind": (lambda t: t.header.write_text(t.pick("[]", "3", '"x"', "null", "{}")), "labels"),
    "header without end": (lambda t: t.header.write_text("[" * 100_000), "not valid JSON"),
    "labels of another kind": (lambda t: t.json(labels=t.pick([], 3, None, ["a"])), "labels"),
    "label name twice": (lambda t: t.json(labels={"0": "background", "1": "a", "2": "a"}), "2 labels are called 'a'"),
    "label name taken": (lambda t: t.labels(**{"all labels": 3}), "'all labels'"),
    "label name empty": (lambda t: t.labels(**{t.pick("", " ", "\t"): 3}), "cannot be told apart"),
    "label name of control characters": (lambda t: t.labels(**{t.pick("a\x1b[2J", "a\nb", "\x07"): 3}), "told apart"),
    "label value twice": (lambda t: t.labels(other=t.pick(1, 2)), "each once"),
    "label value odd": (lambda t: t.labels(other=t.pick(1.5, True, "x", None, [], {}, [[1]], 1e400)), "an integer"),
    "label value negative": (lambda t: t.labels(other=-3), "none negative"),
    "label value past 32 bits": (lambda t: t.labels(other=2**31), "at most 2147483647"),
    "ignore is a label": (lambda t: t.labels(ignore=t.pick(1, 2)), "both to be ignored"),
    "modalities of another kind": (
        lambda t: t.json(channel_names=t.pick(["T1"], {"a": "T1"}, "T1", 3)),
        "modality: expected",
    ),
    "more modalities than files": (lambda t: t.json(channel_names={"0": "T1", "1": "T2"}), "_0001.nii.gz"),
    "other ending": (lambda t: t.json(file_ending=t.pick(".png", ".nrrd", "", 3, None)), "file_ending"),
    "listed oddly": (lambda t: t.json(training=[t.pick(3, {}, {"label": 3}, None)]), "training: expected"),
    "listed twice": (lambda t: t.json(training=[f"./labelsTr/{t.case}.nii.gz"] * 2), "listed twice"),
    "listed and not there": (lambda t: t.json(training=["./labelsTr/ghost.nii.gz"]), "missing"),
    "table of files odd": (lambda t: to_dataset_table(t, images=t.pick("a", [], [3], None)), "expected {'images'"),
    "table of files names none": (lambda t: to_dataset_table(t, label="nowhere.nii.gz"), "label map is missing"),
    "link to nowhere": (dangling, "leads nowhere"),
    "column twice": (lambda t: t.table.write_text(f"case\tperson\tperson\n{t.case}\ta\tb\n"), "2 columns"),
    "stray quote": (lambda t: t.table.write_text(f'case\tperson\n{t.case}\t"a\n'), "quote"),
    "two stray quotes": (lambda t: t.table.write_text('case\tperson\np00L\t"a\np01L\tb"\n'), "quote"),
    "cells too many": (lambda t: t.table.write_text(f"case\tperson\n{t.case}\ta\tb\n"), "expected 2 cells"),
    "case twice": (lambda t: t.table.write_text(f"case\tgroup\n{t.case}\ta\n{t.case}\tb\n"), "2 rows"),
    "case not there": (table("case\tgroup\nghost\ta\n"), "'ghost' is not in the dataset"),
    "no column of cases": (lambda t: t.table.write_text(t.pick("name\n", "", "\n", "case,group\n")), "column `case`"),
    "table of another encoding": (table("case\tperson\np00L\tJosé\n", "latin-1"), "UTF-8"),
    "drawn labels unknown": (lambda t: t.table.write_text(f"case\tlabels\n{t.case}\tfrontt\n"), "unknown label"),
    "drawn labels contradict": (lambda t: t.table.write_text(f"case\tlabels\n{t.case}\tfront\n"), "does not name back"),
    "name of a bound": (lambda t: t.arguments.extend(["--methods", f"{t.pick('oracle10', 'candidate')}=mv"]), "bounds"),
    "name of a folder": (lambda t: t.arguments.extend(["--methods", f"{t.pick('.', '..')}=mv"]), "cannot be a folder"),
    "name too long": (lambda t: t.arguments.extend(["--methods", f"{t.pick('a', 'é') * 250}=mv"]), "too long"),
    "brackets": (lambda t: t.arguments.extend(["--methods", t.pick("jlf[", "jlf]", "mv[=]", "[x]")]), "--methods"),
    "unknown method": (lambda t: t.arguments.extend(["--methods", t.pick("jlff", "no", "../mv")]), "unknown method"),
    "repeats without end": (flag("--repeats", "100000"), "1000"),
    "folds": (lambda t: t.arguments.extend(["--folds", t.pick("1", "0", "-3", "5", "1000000")]), "folds"),
    "share": (lambda t: t.arguments.extend(["--hold-out", t.pick("0", "1", "7", "nan", "-1")]), "hold_out"),
    "atlases": (lambda t: t.arguments.extend(["--atlases", t.pick("0", "-1")]), "atlases"),
    "unknown column": (lambda t: t.arguments.extend(["--match", t.pick("sides", "[x]")]), "unknown column"),
    "selector": (lambda t: t.arguments.extend(["--train-on", t.pick("group", "=a", "group=", "")]), "COLUMN=VALUE"),
    "nothing selected": (flag("--train-on", "group=zzz"), "selects no case"),
    "test set named oddly": (
        lambda t: t.arguments.extend(["--test-on", f"{t.pick(' ', 'a' * 300)}:side=L"]),
        "test set",
    ),
    "unknown shift": (lambda t: t.arguments.extend(["--shift", t.pick("contrastt:3", "noise", "noise:x")]), "shift"),
    "study cut off": (lambda t: study(t, '[protocol]\nfolds = "'), "not a valid TOML"),
    "study with another key": (lambda t: study(t, f"[{t.pick('protocoll', 'datas')}]\nx = 1\n"), "did you mean"),
    "study of another type": (lambda t: study(t, f"seed = {t.pick('-1', '1.5', 'true', '[]')}\n"), "seed"),
    "name of the study": (lambda t: study(t, f"name = '{t.pick('..', 'a/b', 'x' * 300, '')}'\n"), "name"),
}

HARMLESS: dict[str, Change] = {
    "as it is": lambda t: None,
    "study whose methods the command names": lambda t: study(t, "methods = {}\n"),
    "axes of length 1": lambda t: t.edit(
        t.pick(t.image, t.label), lambda a: a.reshape(*a.shape, *[1] * int(t.pick(1, 2, 3)))
    ),
    "labels nearly integers": lambda t: t.edit(t.label, lambda a: a + t.random.uniform(-9e-4, 9e-4, a.shape)),
    "labels as numbers of another type": lambda t: t.edit(
        t.label, lambda a: a.astype(t.pick("i1", "u2", "i4", "u4", "i8", "f4", "f8"))
    ),
    "labels behind a scale factor": slope,
    "grid moved by rounding": lambda t: shifted(t, t.number(1e-6, 9e-3)),
    "a case without foreground": lambda t: t.edit(t.label, np.zeros_like),
    "numbers as names": lambda t: t.json(labels={"0": 0, "7": 1, "x": 2}),
    "numbers as all names": lambda t: t.json(labels={"0": 0, "7": 1, "9": 2}),
    "names as in the Decathlon": lambda t: t.json(labels={"1": "front", "2": "2", "0": "background"}),
    "values as text": lambda t: t.json(labels={"background": "0", "front": "1", "back": "2"}),
    "table of files": to_dataset_table,
    "mark of byte order in the header": lambda t: t.header.write_text(t.header.read_text(), encoding="utf-8-sig"),
    "mark of byte order in the table": lambda t: t.table.write_text(t.table.read_text(), encoding="utf-8-sig"),
    "mark of byte order in the study": lambda t: study(t, "seed = 3\n", "utf-8-sig"),
    "lines end as on Windows": lambda t: t.table.write_bytes(t.table.read_bytes().replace(b"\n", b"\r\n")),
    "empty lines in the table": lambda t: t.table.write_text("\n\n".join(rows(t)) + "\n\n\n"),
    "quotes in pairs": lambda t: t.table.write_text(f'case\tperson\n"{t.case}"\t"a ""b"""\n'),
    "cells left out": lambda t: t.table.write_text(f"case\tperson\tgroup\n{t.case}\n"),
    "no table": lambda t: t.table.unlink(),
    "labels of 32 bits": lambda t: (
        every_label(t, lambda a: np.where(a == 2, 614_454_277, a.astype(np.int32))),
        t.labels(back=614_454_277),
    ),
    "voxels to be ignored": lambda t: (t.put(t.label, 9, np.uint8), t.labels(ignore=9)),
    "regions": lambda t: t.json(labels={"background": 0, "whole": [1, 2], "back": [2]}),
    "labels drawn in part": lambda t: (
        t.edit(t.label, lambda a: np.where(a == 2, 0, a)),
        t.table.write_text(f"case\tlabels\n{t.case}\tfront\n"),
    ),
    "folder named oddly": rename_folder,
    "dataset named oddly": lambda t: t.json(name=t.pick("[bold]x", "a [/] b", "x\x1b[2J", "ä" * 300)),
    "further keys": lambda t: t.json(numTraining="four", regions_class_order=[1], zzz={"a": [None]}),
    "hidden files": lambda t: [path.with_name(f"._{path.name}").write_bytes(b"x") for path in (t.image, t.label)],
    "files without compression": to_nii,
    "turned both": lambda t: [
        t.place(path, np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 20], [0, 0, 0, 1.0]]))
        for path in (t.image, t.label)
    ],
    "image of integers": lambda t: t.edit(t.image, lambda a: a.astype(t.pick("u1", "i2", "i4"))),
    "image of large numbers": lambda t: t.edit(t.image, lambda a: (a * 1e6).astype(np.float64)),
    "label map linked": lambda t: (
        shutil.move(t.label, t.data / "elsewhere.nii.gz"),
        t.label.symlink_to(t.data / "elsewhere.nii.gz"),
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What became of one input.

    Attributes:
        kind: Which.
        outcome: refused rightly, accepted rightly, refused wrongly, accepted wrongly, other words, or traceback.
        text: What was printed.
    """

    kind: str
    outcome: str
    text: str = ""

    @property
    def right(self) -> bool:
        return self.outcome in ("refused rightly", "accepted rightly")


def judge(kind: str, good: Path, folder: Path, random: Random) -> Verdict:
    """Makes one input of a kind, gives it to the command line, and judges what comes of it."""
    t = Try(Path(shutil.copytree(good, folder / "data")), random, [])
    change, said = REFUSED[kind] if kind in REFUSED else (HARMLESS[kind], "")
    change(t)
    given = t.arguments
    given += [] if {"--folds", "--hold-out", "--test-on", "--train-on"} & set(given) else ["--folds", "2"]
    given += [] if "--methods" in given else ["--methods", "mv,jlf"]
    # a path that begins with a dash is a flag to any command line
    code, text = command("run", *given, "--data", str(t.data), "--out", str(folder / "run"), "--dry-run")
    if code not in (0, 2):
        return Verdict(kind, "traceback", text)
    if (folder / "run").exists() or "\x1b" in text:
        return Verdict(kind, "other words", f"a run folder was made, or escapes were printed: {text!r}")
    if kind in HARMLESS:
        return Verdict(kind, "accepted rightly" if code == 0 else "refused wrongly", text)
    if code == 0:
        return Verdict(kind, "accepted wrongly", text)
    return Verdict(kind, "refused rightly" if said in text else "other words", text)


def command(*arguments: str) -> tuple[int, str]:
    """The command line in this process: exit code, or -1 where it raised, and all that it printed."""
    from dlfbench.cli import main
    from dlfbench.cli.console import err, out

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        out.width = err.width = 10_000
        try:
            main(list(arguments))
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc(file=printed)
            code = -1
    return code, printed.getvalue()


def verdicts(number: int, scratch: Path, seed: int = 0) -> Iterator[Verdict]:
    """Judges so many inputs, of all kinds in turn."""
    good = write_dataset(scratch / "good", people=4, sides="L", groups=("a", "b"))
    kinds = [*REFUSED, *HARMLESS]
    order = [kind for _ in range(-(-number // len(kinds))) for kind in kinds][:number]
    for place, kind in enumerate(order):
        folder = scratch / str(place)
        folder.mkdir()
        yield judge(kind, good, folder, np.random.default_rng([seed, place]))
        shutil.rmtree(folder)


def main() -> int:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for verdict in verdicts(number, Path(scratch)):
            counts[verdict.outcome] += 1
            if not verdict.right:
                print(f"{verdict.kind}: {verdict.outcome}\n{verdict.text}")
    tracebacks = counts.pop("traceback", 0)
    print(", ".join(f"{outcome} {n}" for outcome, n in sorted(counts.items())) + f", tracebacks {tracebacks}")
    return 0 if set(counts) <= {"refused rightly", "accepted rightly"} and not tracebacks else 1


if __name__ == "__main__":
    sys.exit(main())
