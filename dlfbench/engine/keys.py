"""Seeds; keys of tasks are digests of what a result depends on, and nothing else.

A key covers a method's parameters, its code, the data, the atlases, the seed and the versions of the libraries that
the method imports. Paths, times, threads and the machine are left out, so that a run folder can move.
"""

from dlfbench.datasets.digests import digest


def derive_seed(study_seed: int, *parts: str | int) -> int:
    """A seed for (study seed, method, fold, case): equal inputs give equal seeds, others unrelated ones."""
    return int(digest("seed", study_seed, *parts)[:8], 16)
