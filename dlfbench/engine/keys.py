"""Seeds, and what keys of tasks are made of: what a result depends on, and nothing else.

A key covers a method's parameters, its code, the data, the atlases, the seed and the versions of the libraries that
the method imports. Paths, times, threads and the machine are left out, so that a run folder can move.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dlfbench.datasets.cases import Case
from dlfbench.datasets.digests import digest, digest_file
from dlfbench.engine.fingerprint import fingerprint_of
from dlfbench.errors import InputError
from dlfbench.images import is_stored_as_read
from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import MORE_METRICS
from dlfbench.metrics.scores import score_labels
from dlfbench.plugin_files import without_folder
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.registry import Method

_READ_OTHERWISE = "nearest RAS, spacing of the affine"  # such files were once read in other ways


def derive_seed(study_seed: int, *parts: str | int) -> int:
    """A seed for (study seed, method, fold, case): equal inputs give equal seeds, others unrelated ones."""
    return int(digest("seed", study_seed, *parts)[:8], 16)


def identities(methods: Sequence[Method]) -> dict[str, list[Any]]:
    """What each method is, and each member of one, by name.

    Raises:
        InputError: A member has the name of a method of the study, and is another.
    """
    by_method = {method.name: _what(method) for method in methods}
    problems: list[str] = []
    for method in methods:
        for member in method.segmenter.members:
            if by_method.setdefault(member.name, what := _what(member)) != what:
                problems.append(
                    f"method {method.name!r}: its member {member.name!r} has other parameters than the method of "
                    f"that name here; write it with the same ones, or name it: other={member.use}[...]"
                )
    if problems:
        raise InputError(problems)
    return by_method


def _what(method: Method) -> list[Any]:
    """What a method is: its name, parameters, code and libraries, and those of the methods that it calls."""
    return [without_folder(method.use), *_identity(method.segmenter)]


def _identity(segmenter: Segmenter) -> list[Any]:
    own = [asdict(segmenter), asdict(fingerprint_of(type(segmenter)))]  # type: ignore[call-overload]
    files = [digest_file(path) for path in segmenter.code_files]
    return [*own, *files, *(_identity(part) for part in segmenter.parts)]


def digests_of(case: Case) -> tuple[str, str]:
    """Digest of the images, and of the reference; empty without one."""
    images = _image_parts(case)
    if not all(is_stored_as_read(path) for path in (*case.images, case.reference) if path is not None):
        images.append(_READ_OTHERWISE)
    return digest(images), case.reference_digest() if case.reference else ""


def has_images(case: Case, planned: str) -> bool:
    """Whether the images of a case have this digest of `digests_of`, also where its reference is not known here."""
    images = _image_parts(case)
    return planned in (digest(images), digest([*images, _READ_OTHERWISE]))


def _image_parts(case: Case) -> list[str]:
    images = [digest_file(path) for path in case.images]
    if case.shift is None:
        return images
    change, modalities = case.shift
    return [*images, case.name, *modalities, *change.recipe]


def scoring_code() -> str | list[str]:
    """The code of the metrics; those of plugins count where there are any."""
    own = fingerprint_of(score_labels).sources
    return [own, *map(_metric_code, MORE_METRICS)] if MORE_METRICS else own


def _metric_code(metric: Metric) -> str:
    value, worst = fingerprint_of(metric.value).sources, fingerprint_of(metric.worst).sources
    return f"{metric.name} {value}" if worst == value else f"{metric.name} {value} {worst}"
