"""Keys of tasks and seeds: what a result depends on, and nothing else.

A key covers a method's parameters, its code, the data, the atlases, the seed and the versions of the libraries that
the method imports. Paths, times, threads and the machine are left out, so that a run folder can move.
"""

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(*parts: Any) -> str:
    """SHA-256 of anything that JSON can hold, as 32 hex digits; the same in every process."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def derive_seed(study_seed: int, *parts: str | int) -> int:
    """A seed for (study seed, method, fold, case): equal inputs give equal seeds, others unrelated ones."""
    return int(digest("seed", study_seed, *parts)[:8], 16)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be part of a key")
