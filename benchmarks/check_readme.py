"""Every figure of Dice in README.md, reports/README.md and reports/lessons.md, found again in the published results.

python -m benchmarks.check_readme            # writes the table of README.md
python -m benchmarks.check_readme --check    # fails where a page says otherwise, or says what nothing published says

A page's figures stand in a block that is made of results (the table here, the claims by `benchmarks.claims_table`), or
in one of the sentences below, which are made of results too. Any other figure with three decimals is a fault. In the
README.md of a study a figure with its interval, such as `0.017 (0.012 to 0.022)`, is one where no row of its tables
has the three.
"""

import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.claims_table import END as CLAIMS_END
from benchmarks.claims_table import START as CLAIMS_START
from benchmarks.claims_table import with_block
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.sections import comparisons, ensembles, summary, trainings
from dlfbench.report.shown import format as say

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "reports/README.md", "reports/lessons.md")
START, END = "<!-- results: written by benchmarks/check_readme.py -->", "<!-- end of results -->"
STUDY, GENERALIZATION, MTL = "hippocampus-dlf", "hippocampus-generalization", "mtl-official"
ENSEMBLES, GROWING, FUSION = "hippocampus-ensembles", "hippocampus-curve", "hippocampus-label-fusion"
REGISTRATION, CROSS_VALIDATION, BUDGETS = "hippocampus-registration", "hippocampus-cv", "hippocampus-budgets"
STUDIES = sorted(path.parent for path in (ROOT / "reports").glob("*/tables"))
TEST_SETS = ("in-domain", "uint8", "float-1e6")
ALL = "all labels"
_FIGURE = re.compile(r"(?<![\d.])[+\-−]?\d\.\d{3}(?!\d)")
_NUMBER = r"[+\-−]?\d+\.\d+"
_WITH_INTERVAL = re.compile(rf"(?<![\d.])({_NUMBER}) \((?:95% interval )?({_NUMBER}) to ({_NUMBER})")
_BLOCKS = re.compile(rf"{CLAIMS_START}.*?{CLAIMS_END}|{START}.*?{END}|```.*?```|^    .*?$", re.DOTALL | re.MULTILINE)


@cache
def frames(study: str) -> dict[str, pd.DataFrame]:
    """Tables of a published study (`summary`, `comparisons`, `trainings`, `ensembles`), made again of its results."""
    basis = read_basis(ROOT / "reports" / study)
    contents = [section.make(basis) for section in (summary, comparisons, trainings, ensembles)]
    return {name: frame for content in contents if content for name, frame in content.frames.items()}


def table() -> str:
    """The table of README.md as Markdown: mean Dice of all labels, and minutes of training."""
    rows = [*_methods(STUDY), *(row for row in _methods(GENERALIZATION) if row[0] == "nnunet")]
    rows.sort(key=lambda row: -row[1]["in-domain"]["mean"])
    best = {name: max(row[1][name]["mean"] for row in rows) for name in TEST_SETS}
    lines = [("method", *TEST_SETS, "training"), ("---",) * (len(TEST_SETS) + 2)]
    for method, found, training in rows:
        lines.append((f"`{method}`", *(_cell(found[name], best[name]) for name in TEST_SETS), training))
    bounds = [[_mean(STUDY, name, bound) for bound in ("oracle10", "candidate")] for name in TEST_SETS]
    lines.append(("bounds: oracle 10% / mean single candidate", *(" / ".join(pair) for pair in bounds), ""))
    return f"{START}\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + END


def _methods(study: str) -> list[tuple[str, dict[str, pd.Series], str]]:
    """Every method of a study but its ensembles: its rows of the test sets, and what its training took."""
    found = frames(study)["summary"]
    found = found[~found["method"].str.startswith("ensemble")]
    found = found[(found["kind"] == "method") & (found["label"] == ALL) & (found["metric"] == "dice")]
    costs = pd.read_csv(ROOT / "reports" / study / "tables" / "costs.csv", keep_default_na=False)
    fits = costs[costs["task"] == "fit"].set_index("method")
    cpu_s = fits["total_cpu_s"].astype(float) / fits["n"]
    return [
        (
            str(method),
            {str(row["test_set"]): row for _, row in rows.iterrows()},
            f"{cpu_s[method] / 60:.0f} min" if method in cpu_s else "",
        )
        for method, rows in found.groupby("method")
    ]


def _cell(row: pd.Series, best: float) -> str:
    mean = say.number(row["mean"], "dice")
    return f"{f'**{mean}**' if row['mean'] == best else mean} ({say.limits(row['low'], row['high'], 'dice')})"


def _mean(study: str, test_set: str, method: str) -> str:
    found = frames(study)["summary"].set_index(["test_set", "method", "label", "metric"])["mean"]
    return say.number(found[test_set, method, ALL, "dice"], "dice")


def sentences() -> dict[str, list[str]]:
    """What a page must say, made of results."""
    persons = frames(STUDY)["summary"].groupby("test_set")["persons"].max()
    counts = [str(persons[name]) for name in TEST_SETS]
    tested = f"tested on {counts[0]} others of that kind, on {counts[1]} of `uint8` and {counts[2]} of `float-1e6`"
    unet, dlf = (_difference("phantom-modality", "in-domain", f"{name}-modaug", name) for name in ("unet", "dlf"))
    modaug = f"U-Net {unet[0]:+.3f}, DLF {_signed(*dlf)}"
    gains = [_said(STUDY, name, "dlf", "jlf_cl") for name in TEST_SETS]
    above = f"it is undecided: {gains[0]}, {gains[1]} and {gains[2]}"
    longer = _gains()
    rising = (
        f"The U-Net and nnU-Net still rise with longer training: {longer['unet']} with twice its preset, and "
        f"{longer['nnunet']} with the last doubling up to it"
    )
    return {"README.md": [tested, above, rising], "reports/README.md": [modaug], "reports/lessons.md": lessons()}


def lessons() -> list[str]:
    """The figures of reports/lessons.md."""
    single, voting = (_mean(STUDY, "in-domain", name) for name in ("candidate", "mv"))
    steps = [_said(STUDY, "in-domain", *pair) for pair in (("jlf", "mv"), ("jlf_cl", "jlf"), ("dlf", "jlf_cl"))]
    others = [_said(STUDY, name, "dlf", "jlf_cl") for name in TEST_SETS[1:]]
    alone = [_said(STUDY, name, "unet", "jlf_cl") for name in TEST_SETS]
    nnunet = [_said(GENERALIZATION, name, "nnunet", "jlf_cl") for name in TEST_SETS]
    folds = _said(BUDGETS, "in-domain", "nnunet-folds", "nnunet")
    mtl = [_said(MTL, name, "dlf", "jlf_cl") for name in ("young", "older")]
    trained = frames(STUDY)["trainings"].set_index(["test_set", "method"])[["sd_people", "sd_training"]].astype(float)
    people, again = (
        [[f"{trained[column][name, method]:.3f}" for name in TEST_SETS] for method in ("dlf", "unet")]
        for column in ("sd_people", "sd_training")
    )
    few, many = _with_cases(5), _with_cases(20)
    half, agreeing = (_said(FUSION, "in-domain", *pair) for pair in (("jlf-top10", "jlf"), ("simple", "mv")))
    moved, quick = (_by_registration(name) for name in ("simpleitk", "AntsSyN"))
    gains = frames(ENSEMBLES)["ensembles"].set_index(["test_set", "best_member"])["difference"].astype(float)
    gained = [f"{gains['in-domain', member]:+.3f}" for member in ("jlf_cl", "dlf")]
    return [
        f"A single warped atlas has a Dice of {single} in-domain, the majority vote of twenty {voting}.",
        f"Joint label fusion adds {steps[0]}, corrective learning another {steps[1]}, deep label fusion another "
        f"{steps[2]}.",
        f"On the two other kinds of images it adds {others[0]} and {others[1]}.",
        f"With 5 training cases deep label fusion has {few['dlf']}, corrective learning {few['jlf_cl']}; "
        f"joint label fusion has {few['jlf']}, and {many['jlf']} with 20.",
        f"in cross-validation on 60 cases of all kinds {_said(CROSS_VALIDATION, 'in-domain', 'dlf', 'jlf_cl')}",
        f"On four labels of the medial temporal lobe it adds {mtl[0]} on 7 young people and {mtl[1]} on 8 older ones.",
        f"the half that looks most like the target alone changes joint label fusion by {half}, and SIMPLE, which drops "
        f"those that disagree, has {agreeing} less majority voting.",
        f"Less corrective learning, the U-Net has {alone[0]} in-domain, {alone[1]} and {alone[2]} on the other kinds.",
        f"nnU-Net, trained once, has {nnunet[0]}, {nnunet[1]} and {nnunet[2]}.",
        f"Five nnU-Nets of a fifth of the updates, averaged, have {folds} against one of all of them",
        f"{', '.join(people[0])} for deep label fusion, {', '.join(people[1])} for the U-Net",
        f"{', '.join(again[0])} and {', '.join(again[1])}",
        f"in-domain {gained[0]} for corrective learning with the U-Net, "
        f"{gained[1]} for deep label fusion with corrective learning",
        f"Registered by SimpleITK's demons, majority voting has {moved['mv']} against greedy, joint label fusion "
        f"{moved['jlf']}, deep label fusion {moved['dlf']}",
        f"by a quick SyN of ANTs {quick['mv']}, {quick['jlf']} and {quick['dlf']}",
    ]


def _gains() -> dict[str, str]:
    """What each method's longest training gained over the next shorter one, with its interval."""
    table = pd.read_csv(ROOT / "reports" / BUDGETS / "tables" / "budgets.csv").groupby("line").tail(1).set_index("line")
    return {str(line): _signed(row["gain"], row["gain_low"], row["gain_high"]) for line, row in table.iterrows()}


def _signed(value: float, low: float, high: float) -> str:
    """A difference with its interval, as the pages write it."""
    said = f"{say.number(value, 'dice', signed=True)} ({say.limits(low, high, 'dice', signed=True)})"
    return said.replace("−", "-")


def _by_registration(name: str) -> dict[str, str]:
    """What a registration changes, with its interval, by method."""
    table = pd.read_csv(ROOT / "reports" / REGISTRATION / "tables" / "by_registration.csv")
    rows = table[(table["registration"] == name) & table["difference"].notna()].set_index("method")
    return {str(method): _signed(row["difference"], row["low"], row["high"]) for method, row in rows.iterrows()}


def _with_cases(number: int) -> dict[str, str]:
    """Mean Dice with its interval of each method, by name without parameters, with so many training cases."""
    table = pd.read_csv(ROOT / "reports" / GROWING / "tables" / "learning_curves.csv")
    rows = table[table["number"] == number]
    numbers = rows[["dice", "low", "high"]].to_numpy(float)
    told = [f"{say.number(dice, 'dice')} ({say.limits(low, high, 'dice')})" for dice, low, high in numbers]
    return dict(zip(rows["method"].str.partition("[")[0], told, strict=True))


def _said(study: str, test_set: str, a: str, b: str) -> str:
    return _signed(*_difference(study, test_set, a, b))


def _difference(study: str, test_set: str, a: str, b: str) -> tuple[float, float, float]:
    """Of mean Dice of all labels, a less b, and the limits of its interval."""
    found = frames(study)["comparisons"]
    found = found[(found["test_set"] == test_set) & (found["metric"] == "dice") & (found["label"] == ALL)]
    there, back = found[(found["a"] == a) & (found["b"] == b)], found[(found["a"] == b) & (found["b"] == a)]
    ((one, low, high),) = np.concatenate(
        [there[["difference", "low", "high"]].to_numpy(float), -back[["difference", "high", "low"]].to_numpy(float)]
    )
    return one, low, high


def faults(page: str, text: str) -> list[str]:
    """What a page says that the published results do not say."""
    found = [f"{page}: expected the sentence: {one}" for one in sentences()[page] if _flat(one) not in _flat(text)]
    rest = _flat(_BLOCKS.sub("", text))
    for one in sentences()[page]:
        rest = rest.replace(_flat(one), "")
    return found + [f"{page}: {figure} stands in no block and no sentence" for figure in _FIGURE.findall(rest)]


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def faults_of_study(folder: Path) -> list[str]:
    """Figures with an interval that the README.md of a published study has, and no row of its tables."""
    page = folder / "README.md"
    known = _with_intervals(folder / "tables")
    known = np.concatenate([known, -known[:, [0, 2, 1]]])  # b less a
    found = []
    for match in _WITH_INTERVAL.finditer(_flat(page.read_text(encoding="utf-8"))):
        said = np.array([float(number.replace("−", "-")) for number in match.groups()])
        rounding = np.array([0.501 * 10.0 ** -len(number.partition(".")[2]) for number in match.groups()])
        if not (np.abs(known - said) <= rounding).all(axis=1).any():
            found.append(f"{page.relative_to(ROOT)}: no row of its tables has {match[0]})")
    return found


def _with_intervals(tables: Path) -> npt.NDArray[np.float64]:
    """Every number of the tables that has an interval: (row, number with low and high)."""
    rows = [np.empty((0, 3))]
    for path in sorted(tables.glob("*.csv")):
        table = pd.read_csv(path) if path.stat().st_size > 1 else pd.DataFrame()
        for low in (name for name in table.columns if name == "low" or name.endswith("_low")):
            limits = [low, f"{low.removesuffix('low')}high"]
            numbers = table.select_dtypes("number").drop(columns=limits, errors="ignore")
            rows += [np.c_[numbers[name], table[limits]].astype(float) for name in numbers]
    return np.concatenate(rows)


def with_table(text: str) -> str:
    """README.md with the table as the results make it."""
    return with_block(text, table(), START, END)


def main() -> None:
    """Writes the table, or checks it; then checks the pages."""
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    if "--check" not in sys.argv:
        page.write_text(with_table(text), encoding="utf-8")
    elif with_table(text) != text:
        sys.exit(f"{page}: its table differs from the published results; run python -m benchmarks.check_readme")
    found = [fault for name in PAGES for fault in faults(name, (ROOT / name).read_text(encoding="utf-8"))]
    found += [fault for path in STUDIES for fault in faults_of_study(path)]
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
