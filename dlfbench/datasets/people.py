"""Where a dataset may not say whose its cases are: then one person may stand on both sides of a split, unseen."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from dlfbench.datasets.cases import Case, Dataset, names_person
from dlfbench.datasets.digests import digest, digest_file

_WORDS = (
    "person",
    "people",
    "subject",
    "patient",
    "participant",
    "proband",
    "volunteer",
    "individual",
    "donor",
    "specimen",
)
_SHORT = ("id", "sub", "subj", "rid", "pid", "sid", "ptid", "mrn", "animal", "mouse", "rat", "monkey")
_ENDINGS = re.compile(r"(?<=..)(id|ids|name|no|nr|num|number|code|key|label|s)$")
_ALIKE = 0.8
_FEW = 3


def people_warnings(dataset: Dataset) -> list[str]:
    """One line for every column that seems to say whose a case is and does not, and for blank cells of `person`."""
    cases = [case for case in dataset.cases if case.shift is None]
    return [*_misnamed(dataset, cases), *_blank(dataset, cases)]


def _misnamed(dataset: Dataset, cases: Sequence[Case]) -> Iterator[str]:
    if "person" in dataset.columns:
        return
    for column in filter(_seems_to_name_people, dataset.columns):
        values = [case.columns[column] for case in cases if column in case.columns]
        if len(set(values)) < len(values):  # else every case is of someone else, as it is taken
            yield (
                f"{dataset.name}: column {column!r} seems to say whose a case is ({len(values)} cases have "
                f"{len(set(values))} values), and there is no column 'person': cases of one {column} may stand on both "
                "sides of a split; if they are of one person, call the column `person`"
            )


def _seems_to_name_people(column: str) -> bool:
    """Whether a column is called as people are, alone or as a number or name: `Person`, `patient_id`, `SubjectID`."""
    word = re.sub(r"[^a-z]", "", column.lower())
    while word not in _SHORT and _ENDINGS.search(word):
        word = _ENDINGS.sub("", word)
    return word in _SHORT or word.endswith(_WORDS) or bool(get_close_matches(word, ("person",), cutoff=_ALIKE))


def _blank(dataset: Dataset, cases: Sequence[Case]) -> Iterator[str]:
    unnamed = [case.name for case in cases if not case.columns.get("person")]
    if unnamed and "person" in dataset.columns:
        yield (
            f"{dataset.name}: column 'person' is blank in {len(unnamed)} of {len(cases)} cases, such as "
            f"{', '.join(unnamed[:_FEW])}: they are taken to be of people of their own; fill it in"
        )


def same_images(cases: Sequence[Case], digests: Mapping[str, str]) -> list[str]:
    """One line for all cases that have one image and are of different people.

    Args:
        cases: Of a dataset.
        digests: Of each case's images.
    """
    alike: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        alike[digests[case.name]].append(case)
    return [
        f"cases {', '.join(case.name for case in found)} have the same image, and are taken to be of different people "
        f"({', '.join(_whose(case) for case in found)}); take all but one out, or give them one person"
        for found in alike.values()
        if len({case.person for case in found}) > 1
    ]


def _whose(case: Case) -> str:
    return case.person if names_person(case.columns) else "not said"


def image_digests(cases: Sequence[Case]) -> dict[str, str]:
    """Digest of each case's images."""
    return {case.name: digest([digest_file(path) for path in case.images]) for case in cases}
