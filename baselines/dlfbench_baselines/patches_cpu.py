"""The backend for CPUs, compiled by Numba: loops whose working set stays in the cache.

Measured on a hippocampus crop with 20 atlases it is many times faster than the same sums in PyTorch, which has to write
and read every intermediate array. The result does not depend on the number of threads.
"""

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from dlfbench_baselines.patches import SD_FLOOR, PatchProblem, WeightRule
from dlfbench_baselines.patches_search import search

_KINDS = {"joint": 0, "inverse": 1, "gaussian": 2}
_jit = numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, boundscheck=False)
_parallel = numba.njit(
    cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, parallel=True, boundscheck=False
)


def solve(
    problem: PatchProblem,
    rule: WeightRule,
    *,
    threads: int,
    maps: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.floating[Any]]:
    """Solves every voxel and sums the votes.

    Args:
        problem: The problem.
        rule: How differences become weights.
        threads: CPU threads to use.
        maps: Gets the weight of each atlas at each voxel to solve (atlas, x, y, z).

    Returns:
        Sums of weights (class, x, y, z) on the padded box, of the classes that are there (`problem.present`).
    """
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    winners = search(problem)
    classes = len(problem.present)
    votes = np.zeros((*problem.shape, classes), dtype=problem.target.dtype)
    settings = np.array([_KINDS[rule.kind], rule.beta, rule.alpha, rule.non_negative], dtype=np.float64)
    arrays = problem.target, problem.atlases, problem.classes, problem.solve
    steps = problem.steps(problem.patch), problem.steps(problem.search), problem.steps(problem.voting)
    kept = (np.empty((0, 0), np.float32) if maps is None else maps).reshape(-1, problem.solve.size)
    slab = max(1, 2 * problem.voting[0])
    _solve_all(*arrays, winners, steps, settings, slab, votes.reshape(-1, classes), kept)
    return votes.transpose(3, 0, 1, 2)


@_parallel
def _solve_all(target, atlases, classes, solve, winners, steps, settings, slab, votes, maps):  # type: ignore[no-untyped-def]
    """Slabs along x no thinner than votes reach: every other one at a time, so that no two threads share a place."""
    count = (solve.shape[0] + slab - 1) // slab
    for phase in range(2):
        for half in numba.prange((count + 1 - phase) // 2):
            start = (2 * half + phase) * slab
            span = start, min(start + slab, solve.shape[0])
            _solve_slab(target, atlases, classes, solve, winners, steps, settings, span, votes, maps)


@_jit
def _solve_slab(target, atlases, classes, solve, winners, steps, settings, span, votes, maps):  # type: ignore[no-untyped-def]
    around, reach, voting = steps
    many, channels, n = atlases.shape[0], atlases.shape[1], len(around)
    flat_t, flat_a = target.reshape(channels, -1), atlases.reshape(many, channels, -1)
    flat_c, flat_w = classes.reshape(many, -1), winners.reshape(many, -1)
    wanted, mine = np.empty(channels * n, target.dtype), np.empty((many, channels * n), target.dtype)
    positions, weights = np.empty(many, np.int64), np.empty(many, np.float64)
    matrix, level = np.empty((many, many + 1), np.float64), np.empty(channels, np.bool_)
    _, ny, nz = solve.shape
    for x in range(span[0], span[1]):
        for y in range(ny):
            for z in range(nz):
                if solve[x, y, z]:
                    voxel = (x * ny + y) * nz + z
                    for i in range(many):
                        positions[i] = voxel + reach[flat_w[i, voxel]]
                    label = flat_c[0, positions[0]]
                    if maps.size == 0 and _unanimous(flat_c, positions, voting, label):
                        for step in voting:
                            votes[voxel + step, label] += 1
                        continue
                    for c in range(channels):
                        _patch(flat_t[c], voxel, around, wanted[c * n : (c + 1) * n])
                        level[c] = not _varies(flat_t[c], voxel, around)
                        if level[c]:
                            wanted[c * n : (c + 1) * n] = 0
                    for i in range(many):
                        for c in range(channels):
                            _patch(flat_a[i, c], positions[i], around, mine[i, c * n : (c + 1) * n])
                            if level[c] and not _varies(flat_a[i, c], positions[i], around):
                                mine[i, c * n : (c + 1) * n] = 0
                        for k in range(channels * n):
                            mine[i, k] = abs(wanted[k] - mine[i, k])
                    _weigh(mine, settings, matrix, weights)
                    for i in range(len(maps)):
                        maps[i, voxel] = weights[i]
                    for i in range(many):
                        weight = votes.dtype.type(weights[i])
                        for step in voting:
                            votes[voxel + step, flat_c[i, positions[i] + step]] += weight


@_jit
def _unanimous(classes, positions, voting, label):  # type: ignore[no-untyped-def]
    """Whether every atlas votes for this label everywhere, so that weights, which sum to 1, cannot matter."""
    for i in range(len(positions)):
        for step in voting:
            if classes[i, positions[i] + step] != label:
                return False
    return True


@_jit
def _patch(volume, middle, around, out):  # type: ignore[no-untyped-def]
    """A patch with mean 0 and standard deviation 1, floored."""
    n = len(around)
    total = volume.dtype.type(0)
    for k in range(n):
        out[k] = volume[middle + around[k]]
        total += out[k]
    mean = total / volume.dtype.type(n)
    spread = volume.dtype.type(0)
    for k in range(n):
        out[k] -= mean
        spread += out[k] * out[k]
    scale = volume.dtype.type(1 / max(math.sqrt(spread / max(n - 1, 1)), SD_FLOOR))
    for k in range(n):
        out[k] *= scale


@_jit
def _varies(volume, middle, around):  # type: ignore[no-untyped-def]
    """Whether a patch has more than one value."""
    k = 0
    while k < len(around) and volume[middle + around[k]] == volume[middle]:
        k += 1
    return k < len(around)


@_jit
def _weigh(differences, settings, matrix, weights):  # type: ignore[no-untyped-def]
    """Weights that sum to 1, from differences (atlas, n)."""
    kind, beta, alpha, non_negative = settings
    many, n = differences.shape
    if kind == 0:
        for i in range(many):
            for j in range(i + 1):
                total = differences.dtype.type(0)
                for k in range(n):
                    total += differences[i, k] * differences[j, k]
                shared = total / max(n - 1, 1)
                matrix[i, j] = matrix[j, i] = shared * shared if beta == 2 else shared**beta
            matrix[i, i] += alpha
        _solve_ones(matrix, weights)
    else:
        lowest = np.inf
        for i in range(many):
            total = 0.0
            for k in range(n):
                total += differences[i, k] * differences[i, k]
            weights[i] = beta * math.log(max(total / n, 1e-6)) if kind == 1 else total / n / beta**2
            lowest = min(lowest, weights[i])
        for i in range(many):
            weights[i] = math.exp(lowest - weights[i])
    weights /= weights.sum()
    if non_negative:
        for i in range(many):
            weights[i] = max(weights[i], 0.0)
        weights /= weights.sum()


@_jit
def _solve_ones(matrix, solution):  # type: ignore[no-untyped-def]
    """Solves matrix x = 1 by Gaussian elimination with partial pivoting; the last column is scratch."""
    n = len(solution)
    for i in range(n):
        matrix[i, n] = 1.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(matrix[i, k]) > abs(matrix[pivot, k]):
                pivot = i
        if pivot != k:
            for j in range(k, n + 1):
                matrix[k, j], matrix[pivot, j] = matrix[pivot, j], matrix[k, j]
        for i in range(k + 1, n):
            factor = matrix[i, k] / matrix[k, k]
            for j in range(k + 1, n + 1):
                matrix[i, j] -= factor * matrix[k, j]
    for i in range(n - 1, -1, -1):
        total = matrix[i, n]
        for j in range(i + 1, n):
            total -= matrix[i, j] * solution[j]
        solution[i] = total / matrix[i, i]
