"""What was asked, with what, and of whom: study, splits, versions."""

from typing import Any

from dlfbench.records.record import Record
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.separation import separation
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.study.protocol import Protocol


def make(basis: Basis) -> Content:
    """Facts, and for each run its environment and study file."""
    record = basis.record
    runs = [
        (f"{run.folder.resolve().name}: {', '.join(run.methods)}" if record.parts else "", _environment(run), run)
        for run in record.runs
    ]
    return Content(shown={"facts": facts(basis), "asked": asked(record), "runs": runs, "folds": record.splits})


SETTINGS = Section(name="settings", title="Settings", make=make, folded=True)


def _environment(run: Record) -> list[tuple[str, str]]:
    """Versions first; what is only for the report's own use is left out."""
    others = run.environment.model_dump(exclude={"versions", "registers", "members"}, exclude_defaults=True)
    return [(name, str(value)) for name, value in {**run.environment.versions, **others}.items()]


def facts(basis: Basis) -> list[tuple[str, str]]:
    """What was asked, as heads and entries."""
    record = basis.record
    description = record.data.description
    sets = [
        f"{s.test_set}: {say.count(len(s.cases), 'case')} of {say.count(len(s.persons), 'person')}"
        for s in basis.scores
    ]
    runs = "; ".join(f"{run.folder.resolve().name}: {', '.join(run.methods)}" for run in record.parts)
    settings = [
        ("Merged runs", runs),
        ("Dataset", record.dataset + (f": {description}" if description else "")),
        ("Methods", ", ".join(basis.methods)),
        ("Labels", ", ".join(record.labels)),
        ("Groups of labels", "; ".join(_group(record, name) for name in record.groups)),
        ("Test sets", "; ".join(sets)),
        ("Protocol", _protocol(record)),
        ("Separation", separation_in_words(record)),
    ]
    return [(head, text) for head, text in settings if text]


def _group(record: Record, name: str) -> str:
    labels = record.data.label_set
    names = dict(zip(labels.values, labels.names, strict=True))
    parts = [names[value] for value in dict(labels.groups).get(name, ())]
    return f"{name}: {' and '.join(parts)}" if parts else name


def _protocol(record: Record) -> str:
    parts = [say.count(len(record.splits), "fold")] if record.folds else []
    sizes = sorted({len(fold.train) for fold in record.folds})
    if record.says_who_trained:
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        parts.append(f"{span} training cases, which are also the atlases")
    return "; ".join([*parts, f"seed {record.seed}"])


def asked(record: Record) -> list[tuple[str, str, str]]:
    """Settings of the protocol that were given: name, value, and what its field in a study says of it."""
    given = []
    for name, value in record.study.protocol.items():
        known = Protocol.model_fields.get(name)
        if value in ({}, [], ()) or (known is not None and value == known.default):
            continue
        given.append((name, _value(value), known.description or "" if known else ""))
    return given


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_value(item)}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def separation_in_words(record: Record) -> str:
    """Whether any case or person is in both sides of a fold, as far as persons are known."""
    separated = separation(record)
    if not separated.recorded:
        return ""
    text = _shared(separated.shared_persons)
    if separated.unknown_cases and not separated.shared_persons:
        text += (
            f"; the data do not say whose image {say.count(separated.unknown_cases, 'case')} "
            f"{'is' if separated.unknown_cases == 1 else 'are'}, each "
            "counts as a person of its own: two cases of one person may be on both sides, and intervals may be too "
            "narrow"
        )
    if separated.untold_methods:
        text += f"; what {', '.join(separated.untold_methods)} had seen of the test cases is not recorded"
    return text


def _shared(persons: int) -> str:
    if persons:
        return f"{say.count(persons, 'person')} in both the training and the test cases of a fold: results are too good"
    return "no case and no person is in both the training and the test cases of a fold"
