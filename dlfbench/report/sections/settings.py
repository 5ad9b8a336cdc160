"""What was asked, with what, and of whom: study, splits, versions."""

from dlfbench.records.record import Record
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.separation import separation
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say


def make(basis: Basis) -> Content:
    """Facts, and for each run its environment and study file."""
    record = basis.record
    runs = [
        (f"{run.folder.resolve().name}: {', '.join(run.methods)}" if record.parts else "", _environment(run), run)
        for run in record.runs
    ]
    return Content(shown={"facts": facts(basis), "runs": runs, "folds": record.folds})


SETTINGS = Section(name="settings", title="Settings", make=make, folded=True)


def _environment(run: Record) -> list[tuple[str, str]]:
    """Versions first; what is only for the report's own use is left out."""
    others = {name: value for name, value in run.environment.items() if name not in ("versions", "registers")}
    return [(str(name), str(value)) for name, value in {**run.environment.get("versions", {}), **others}.items()]


def facts(basis: Basis) -> list[tuple[str, str]]:
    """What was asked, as heads and entries."""
    record = basis.record
    description = record.data.get("description")
    sets = [
        f"{s.test_set}: {say.count(len(s.cases), 'case')} of {say.count(len(s.persons), 'person')}"
        for s in basis.scores
    ]
    runs = "; ".join(f"{run.folder.resolve().name}: {', '.join(run.methods)}" for run in record.parts)
    found = [
        ("Merged runs", runs),
        ("Dataset", record.dataset + (f": {description}" if description else "")),
        ("Methods", ", ".join(basis.methods)),
        ("Labels", ", ".join(basis.labels[:-1])),
        ("Test sets", "; ".join(sets)),
        ("Protocol", _protocol(record)),
        ("Separation", separation_in_words(record)),
    ]
    return [(head, text) for head, text in found if text]


def _protocol(record: Record) -> str:
    parts = [say.count(len(record.splits), "fold")] if record.folds else []
    sizes = sorted({len(fold.get("train", ())) for fold in record.folds})
    if sizes:
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        parts.append(f"{span} training cases, which are also the atlases")
    protocol = record.study.get("protocol", {})
    wording = {
        "repeats": "repeats: {}",
        "seeds": "trainings of each method that learns: {}",
        "hold_out": "share held out: {}",
        "train": "train on {}",
        "match": "atlas and target agree on {}",
        "atlases": "at most {} atlases a target",
        "cases": "at most {} cases a group",
    }
    for key, text in wording.items():
        value = protocol.get(key)
        if value and not (key in ("repeats", "seeds") and value == 1):
            parts.append(text.format(", ".join(value) if isinstance(value, list) else value))
    parts += [f"test set {name} is {where}" for name, where in protocol.get("test", {}).items()]
    return "; ".join([*parts, f"seed {record.seed}"])


def separation_in_words(record: Record) -> str:
    """Whether any case or person is in both sides of a fold, as far as persons are known."""
    found = separation(record)
    if not found.recorded:
        return ""
    text = _shared(found.shared_persons)
    if found.unknown_cases and not found.shared_persons:
        text += (
            f"; the data do not say whose image {say.count(found.unknown_cases, 'case')} "
            f"{'is' if found.unknown_cases == 1 else 'are'}, each "
            "counts as a person of its own: two cases of one person may be on both sides, and intervals may be too "
            "narrow"
        )
    if found.untold_methods:
        text += f"; what {', '.join(found.untold_methods)} had seen of the test cases is not recorded"
    return text


def _shared(persons: int) -> str:
    if persons:
        return f"{say.count(persons, 'person')} in both the training and the test cases of a fold: results are too good"
    return "no case and no person is in both the training and the test cases of a fold"
