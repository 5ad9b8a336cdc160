"""Methods that were trained several times: what varies between people, and what from one training to the next.

People and trainings are crossed: every training of a fold segments the same people. As readers are in studies of
diagnostic accuracy (Obuchowski and Rockette 1995), trainings are a random sample of those that might have been made.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from dlfbench.datasets.cases import FIRST_GROUP
from dlfbench.errors import InputError
from dlfbench.metrics.known import METRICS
from dlfbench.plugin_files import is_file
from dlfbench.records.record import Record
from dlfbench.report.basis.account import members
from dlfbench.report.basis.statistics import Array, mean_and_sd
from dlfbench.segmenters.registry import make_method

TRAINING_COLUMNS = [
    *("test_set", "method", "trainings", "persons", "mean", "sd_people", "sd_training"),
    *("low_people", "high_people", "low", "high"),
]
ORDER_COLUMNS = [
    *("test_set", "a", "b", "persons", "difference", "sd_training"),
    *("low_people", "high_people", "low", "high", "same_order"),
]


@dataclass(frozen=True)
class Noise:
    """What the trainings of one fold add to the variance of a method's mean over people.

    Attributes:
        trainings: How many.
        between: Variance, from training to training, of the fold's part of the mean; the people stay the same.
        residual: How much of that is of single people, and so is in the variance of people already.
        residual_df: Degrees of freedom of `residual`.
    """

    trainings: int
    between: float
    residual: float
    residual_df: int


@dataclass(frozen=True)
class Trained:
    """One method in one test set.

    Attributes:
        folds: By fold, (training, person): mean over a person's cases; NaN where the fold does not test the person.
        models: Methods whose models it uses, its own name among them; empty where that is not known.
    """

    folds: Mapping[int, Array]
    models: frozenset[str] = frozenset()

    @property
    def trainings(self) -> int:
        """How many every fold has."""
        return min((len(values) for values in self.folds.values()), default=0)

    @cached_property
    def means(self) -> Array:
        """(person,), the mean over trainings, then over folds; NaN where a training has no result."""
        return mean_and_sd(np.stack([values.mean(axis=0) for values in self.folds.values()]))[0]

    def noise(self, persons: npt.NDArray[np.intp]) -> list[Noise]:
        """What each fold's trainings add, where the mean is over these persons (indices)."""
        tested = np.stack([~np.isnan(values[:, persons]).any(axis=0) for values in self.folds.values()])
        shares = tested / tested.sum(axis=0) / len(persons)
        noises = (
            fold_noise(values[:, persons][:, there], share[there])
            for values, there, share in zip(self.folds.values(), tested, shares, strict=True)
            if there.any()
        )
        return [noise for noise in noises if noise.trainings > 1]

    def shares_models(self, other: "Trained") -> bool:
        """Whether a training of the one is a training of the other, for each: a model of both is in both."""
        there, elsewhere = ({fold: len(values) for fold, values in one.folds.items()} for one in (self, other))
        return there == elsewhere and not self.models.isdisjoint(other.models)


def difference_noise(a: Trained, b: Trained, persons: npt.NDArray[np.intp]) -> list[Noise]:
    """What trainings add to the mean difference of two methods over these persons (indices).

    The trainings of two methods are independent; where they share a model, it is the difference that is trained again.
    """
    if a.shares_models(b):
        return Trained({fold: values - b.folds[fold] for fold, values in a.folds.items()}).noise(persons)
    return [*a.noise(persons), *b.noise(persons)]


def fold_noise(values: Array, shares: Array) -> Noise:
    """Analysis of variance of people crossed with trainings.

    Args:
        values: (training, person).
        shares: (person,), the weight of each person's value in the mean.
    """
    trainings, persons = values.shape
    if trainings < 2:
        return Noise(trainings, 0.0, 0.0, 0)
    residuals = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    df = (trainings - 1) * (persons - 1)
    squared = float((residuals**2).sum() / df) if df else 0.0
    return Noise(trainings, float((values @ shares).var(ddof=1)), squared * float((shares**2).sum()), df)


@dataclass(frozen=True)
class Estimate:
    """A mean over people, or a mean difference, and how sure it is.

    Attributes:
        mean: Over people and trainings.
        people: Variance of the mean due to the draw of people, with `persons` - 1 degrees of freedom.
        persons: How many.
        noise: Of every fold of every method in it that was trained several times.
    """

    mean: float
    people: float
    persons: int
    noise: tuple[Noise, ...]

    @classmethod
    def of(cls, values: Array, noise: list[Noise]) -> "Estimate":
        """Of values (person,) without NaN."""
        return cls(float(values.mean()), float(values.var(ddof=1) / values.size), values.size, tuple(noise))

    @property
    def training(self) -> float:
        """Variance of the mean from one training of all to the next, the people staying the same."""
        return sum(noise.between for noise in self.noise)

    def limits(self, *, with_training: bool) -> tuple[float, float]:
        """95% limits: of other people; or of other people and other trainings.

        The variance is the moments' estimate of a random-effects model (never below that of people alone), its degrees
        of freedom are Satterthwaite's (1946).
        """
        variance, df = self.people, self.persons - 1.0
        added = sum((noise.between - noise.residual) / noise.trainings for noise in self.noise)
        if with_training and added > 0:
            squares = self.people**2 / df
            for noise in self.noise:
                squares += (noise.between / noise.trainings) ** 2 / (noise.trainings - 1)
                squares += (noise.residual / noise.trainings) ** 2 / max(noise.residual_df, 1)
            variance += added
            df = variance**2 / squares
        half = float(stats.t.ppf(0.975, df) * np.sqrt(variance))
        return self.mean - half, self.mean + half

    @property
    def same_order(self) -> float:
        """Probability that, all being trained once more, the mean over the same people has this sign again.

        The predictive t distribution of one more training of each; NaN where nothing was trained twice. The mean is
        shrunk by what its own trainings may have added (empirical Bayes): the sign of a small difference is chance, and
        without shrinking three trainings would promise 0.67 where 0.5 is true.
        """
        if not self.noise:
            return float("nan")
        if self.training == 0:
            return 1.0
        of_mean = sum(noise.between / noise.trainings for noise in self.noise)
        kept = max(0.0, 1 - of_mean / self.mean**2) if self.mean else 0.0
        df = self.training**2 / sum(noise.between**2 / (noise.trainings - 1) for noise in self.noise)
        return float(stats.t.cdf(kept * abs(self.mean) / np.sqrt(self.training + kept * of_mean), df))


def read_trained(record: Record, test_set: str, *, compared: Sequence[str] = ()) -> dict[str, Trained]:
    """Dice over all labels of each method of a test set, training by training.

    A person whose case failed in one training has no value for the method.

    Args:
        record: The run.
        test_set: Which one.
        compared: These methods alone, as they are compared with each other: see `against_false_alarms`. A third
            method's false alarms are nothing between two.
    """
    rows = record.results
    rows = rows[(rows["test_set"] == test_set) & (rows["kind"] == "method")]
    rows = against_false_alarms(rows[rows["method"].isin(compared)]) if compared else rows
    found = arrange_trained(rows, record.methods, {fold: _split(record, fold) for fold in rows["fold"].unique()})
    return {method: replace(one, models=_models(record, method)) for method, one in found.items()}


def _split(record: Record, fold: int) -> int:
    """The split of a fold, of which it is a training."""
    return fold % max(len(record.splits), 1)


def _models(record: Record, method: str) -> frozenset[str]:
    """Methods whose models a method uses: itself, and its members as they are called in this report."""
    inside, home = members(record, method), record.origin(method).folder
    origins = {name: origin for name in record.methods if (origin := record.origin(name)).method in inside}
    near = {origin.method for origin in origins.values() if origin.folder == home}
    shared = (name for name, one in origins.items() if one.folder == home or one.method not in near)
    return frozenset({method, *shared})


def against_false_alarms(rows: pd.DataFrame) -> pd.DataFrame:
    """Results in which who rightly finds nothing of a label has Dice 1, where another finds something in the same case.

    Dice has no value only where neither map has the label, or nobody drew it, and then it has none for anybody.
    """
    found = rows["dice"].notna()
    alarmed = found.groupby([rows["case"], rows["label"]]).transform("any")
    return rows.assign(dice=rows["dice"].mask((rows["status"] == "ok") & ~found & alarmed, 1.0))


def arrange_trained(rows: pd.DataFrame, methods: Sequence[str], split_of: Mapping[int, int]) -> dict[str, Trained]:
    """Dice over all labels of each method that there is; groups of labels are left out.

    Args:
        rows: Columns method, fold, person, case, label, dice and status, of one test set.
        methods: In this order.
        split_of: The split of each fold; folds of one split are its trainings, in order.
    """
    persons = sorted(rows["person"].unique())
    rows = rows[rows["label"] < FIRST_GROUP]
    failed = (rows["status"] != "ok").groupby([rows["method"], rows["person"]]).transform("any")
    rows = rows[~failed]
    by_case = rows.groupby(["method", "fold", "person", "case"])["dice"].mean()
    table = by_case.groupby(["method", "fold", "person"]).mean().unstack("person")
    table = table.reindex(columns=persons)
    found: dict[str, Trained] = {}
    for method in (method for method in methods if method in table.index.get_level_values("method")):
        mine = table.loc[method]
        splits = mine.index.map(split_of)
        found[method] = Trained({one: mine[splits == one].to_numpy(float) for one in sorted(set(splits))})
    return found


def trainings(test_set: str, found: Mapping[str, Trained]) -> pd.DataFrame:
    """One row per method of what `read_trained` gives for a test set: `TRAINING_COLUMNS`.

    sd_people: between people; sd_training: of the mean over the same people, from training to training (NaN: trained
    once or never). low_people, high_people: 95% limits of the mean for other people; low, high: for other people and
    other trainings; none beyond the best Dice there is.
    """
    rows = []
    for method, one in found.items():
        there = np.flatnonzero(~np.isnan(one.means))
        if there.size < 2:
            continue
        estimate = Estimate.of(one.means[there], one.noise(there))
        low_people, high_people = METRICS[0].within(*estimate.limits(with_training=False))
        low, high = METRICS[0].within(*estimate.limits(with_training=True))
        spread = float(one.means[there].std(ddof=1))
        retrained = float(np.sqrt(estimate.training)) if estimate.noise else np.nan
        about = [test_set, method, one.trainings, there.size, estimate.mean, spread, retrained]
        rows.append([*about, low_people, high_people, low, high])
    return pd.DataFrame(rows, columns=TRAINING_COLUMNS)


def orders(test_set: str, found: Mapping[str, Trained], learn: Collection[str]) -> pd.DataFrame:
    """One row per pair of methods, the better one first: `ORDER_COLUMNS`.

    sd_training: of the difference over the same people, from training to training; same_order: see
    `Estimate.same_order`. Pairs of which none was trained several times are left out, and those with a method that
    learns, or may, and was trained once: nobody knows how much that one varies.

    Args:
        test_set: Its name.
        found: What `read_trained` gives for it.
        learn: Methods that learn, or may.
    """
    once = {method for method, one in found.items() if one.trainings == 1 and method in learn}
    rows = []
    for a, b in combinations([method for method in found if method not in once], 2):
        differences = found[a].means - found[b].means
        there = np.flatnonzero(~np.isnan(differences))
        noise = difference_noise(found[a], found[b], there) if there.size > 1 else []
        if not noise:
            continue
        sign = 1 if differences[there].mean() >= 0 else -1
        estimate = Estimate.of(sign * differences[there], noise)
        limits = (*estimate.limits(with_training=False), *estimate.limits(with_training=True))
        pair = (a, b)[::sign]
        about = [test_set, *pair, there.size, estimate.mean, float(np.sqrt(estimate.training))]
        rows.append([*about, *limits, estimate.same_order])
    return pd.DataFrame(rows, columns=ORDER_COLUMNS)


def trained_methods(record: Record) -> set[str]:
    """Methods that learn, or of which nothing says that they do not: by what was timed, else by what they are."""
    task, method = record.timings["task"], record.timings["method"]
    fitted, timed = (set(method[task == name].dropna()) for name in ("fit", "segmentation"))
    return {one for one in record.methods if one in fitted or (one not in timed and _may_learn(record, one))}


def _may_learn(record: Record, method: str) -> bool:
    """Whether a method of that name and parameters learns; of one that is not known here, nobody knows."""
    table = dict(record.study.methods.get(method, {}))
    name = record.origin(method).method
    use = table.pop("use", name)
    if is_file(use):  # a report runs no code that a run folder names
        return True
    try:
        return make_method(name, use, table).segmenter.needs_training
    except InputError:
        return True


def trainings_of_learners(record: Record) -> tuple[int, int]:
    """How often methods that learn, or may, were trained on a fold: at least and at most; 0 where there are none."""
    folds = record.results.loc[record.results["method"].isin(trained_methods(record)), ["method", "fold"]]
    if folds.empty or not record.folds:
        return (0, 0) if folds.empty else (1, 1)
    folds = folds.drop_duplicates().assign(split=lambda table: [_split(record, fold) for fold in table["fold"]])
    counts = folds.groupby(["method", "split"]).size()
    return int(counts.min()), int(counts.max())


def most_trainings(record: Record) -> int:
    """How often methods were trained on a fold, at most; 0 where none learns."""
    return trainings_of_learners(record)[1]


def means_by_training(found: Mapping[str, Trained]) -> dict[str, Array]:
    """The mean over people of each training of each method; for figures."""
    return {
        method: np.array([np.nanmean(np.concatenate([v[k] for v in one.folds.values()])) for k in range(one.trainings)])
        for method, one in found.items()
    }
