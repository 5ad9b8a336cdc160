"""The backend for CPUs, compiled by Numba: loops whose working set stays in the cache.

Measured on a hippocampus crop with 20 atlases it is many times faster than the same sums in PyTorch, which has to write
and read every intermediate array. The result does not depend on the number of threads.
"""

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from dlfbench_baselines.patches import SD_FLOOR, PatchProblem, WeightRule, offsets, tie_margin

_KINDS = {"joint": 0, "inverse": 1, "gaussian": 2}
_jit = numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, boundscheck=False)
_parallel = numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, parallel=True, boundscheck=False)


def solve(
    problem: PatchProblem, rule: WeightRule, *, classes: int, threads: int
) -> npt.NDArray[np.floating[Any]]:
    """Solves every voxel and sums the votes.

    Args:
        problem: The problem.
        rule: How differences become weights.
        classes: Number of labels.
        threads: CPU threads to use.

    Returns:
        Sums of weights (class, x, y, z) on the padded box.
    """
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    winners = search(problem)
    votes = np.zeros((*problem.shape, classes), dtype=problem.target.dtype)
    settings = np.array([_KINDS[rule.kind], rule.beta, rule.alpha, rule.non_negative], dtype=np.float64)
    _solve_all(
        problem.target,
        problem.atlases,
        problem.classes,
        problem.solve,
        winners,
        (problem.steps(problem.patch), problem.steps(problem.search), problem.steps(problem.voting)),
        settings,
        max(1, 2 * problem.voting[0]),
        votes.reshape(-1, classes),
    )
    return votes.transpose(3, 0, 1, 2)


def search(problem: PatchProblem) -> npt.NDArray[np.int16]:
    """The best offset of each voxel and atlas: the highest normalised correlation, the first in ties.

    Only patches whose middle is in the image are looked at.

    Returns:
        (atlas, x, y, z) on the padded box, indices into `offsets(search)`.
    """
    winners = np.zeros((len(problem.atlases), *problem.shape), dtype=np.int16)
    rows = problem.solve.any(axis=2)
    _search_all(
        problem.target,
        problem.atlases,
        problem.inside,
        rows,
        np.array(offsets(problem.search), dtype=np.int64),
        (np.array(problem.patch, dtype=np.int64), np.array(problem.search, dtype=np.int64)),
        problem.target.dtype.type(tie_margin(problem)),
        winners,
    )
    return winners


@_parallel
def _search_all(target, atlases, inside, rows, offsets, radii, tie, winners):  # type: ignore[no-untyped-def]
    patch, reach = radii
    channels = target.shape[0]
    mean_t = np.zeros_like(target)
    inverse_t = np.zeros_like(target)
    for c in range(channels):
        _moments(target[c], patch, mean_t[c], inverse_t[c])
    for atlas in numba.prange(atlases.shape[0]):
        mean_a = np.zeros_like(target)
        inverse_a = np.zeros_like(target)
        for c in range(channels):
            _moments(atlases[atlas, c], patch, mean_a[c], inverse_a[c])
        best = np.full(target.shape[1:], -np.inf, dtype=target.dtype)
        agreement = np.zeros(target.shape[1:], dtype=target.dtype)
        lines = np.zeros((target.shape[2], target.shape[3]), dtype=target.dtype)
        planes = np.zeros(target.shape[1:], dtype=target.dtype)
        for index in range(len(offsets)):
            for c in range(channels):
                _agree(
                    (target[c], mean_t[c], inverse_t[c]),
                    (atlases[atlas, c], mean_a[c], inverse_a[c]),
                    offsets[index],
                    radii,
                    rows,
                    c == 0,
                    (lines, planes),
                    agreement,
                )
            _keep_better(agreement, inside, rows, offsets[index], (patch, reach), tie, index, best, winners[atlas])


@_jit
def _agree(target, atlas, offset, radii, rows, first, buffers, agreement):  # type: ignore[no-untyped-def]
    """Sum over the patch of t * a, both normalised, at one offset, in rows with something to solve.

    A box filter: products summed along z, then y (`planes`), then x.
    """
    t, mean_t, inverse_t = target
    a, mean_a, inverse_a = atlas
    (px, py, pz), (sx, sy, sz) = radii
    dx, dy, dz = offset
    lines, planes = buffers
    nx, ny, nz = t.shape
    n = t.dtype.type((2 * px + 1) * (2 * py + 1) * (2 * pz + 1))
    low, high = pz + sz, nz - pz - sz
    for x in range(sx, nx - sx):
        for y in range(sy, ny - sy):
            row_t, row_a, line = t[x, y], a[x + dx, y + dy], lines[y]
            for z in range(low, high):
                total = row_t[z - pz] * row_a[z - pz + dz]
                for k in range(1 - pz, pz + 1):
                    total += row_t[z + k] * row_a[z + k + dz]
                line[z] = total
        for y in range(py + sy, ny - py - sy):
            plane = planes[x, y]
            for z in range(low, high):
                total = lines[y - py, z]
                for k in range(1 - py, py + 1):
                    total += lines[y + k, z]
                plane[z] = total
    for x in range(px + sx, nx - px - sx):
        for y in range(py + sy, ny - py - sy):
            if rows[x, y]:
                out, m_t, i_t = agreement[x, y], mean_t[x, y], inverse_t[x, y]
                m_a, i_a = mean_a[x + dx, y + dy], inverse_a[x + dx, y + dy]
                for z in range(low, high):
                    total = planes[x - px, y, z]
                    for k in range(1 - px, px + 1):
                        total += planes[x + k, y, z]
                    value = (total - n * m_t[z] * m_a[z + dz]) * i_a[z + dz] * i_t[z]
                    out[z] = value if first else out[z] + value


@_jit
def _keep_better(agreement, inside, rows, offset, radii, tie, index, best, winner):  # type: ignore[no-untyped-def]
    (px, py, pz), (sx, sy, sz) = radii
    dx, dy, dz = offset
    nx, ny, nz = agreement.shape
    code = np.int16(index)
    for x in range(px + sx, nx - px - sx):
        for y in range(py + sy, ny - py - sy):
            if rows[x, y]:
                found, top, won, valid = agreement[x, y], best[x, y], winner[x, y], inside[x + dx, y + dy]
                for z in range(pz + sz, nz - pz - sz):
                    better = (found[z] > top[z] + tie) & valid[z + dz]
                    top[z] = found[z] if better else top[z]
                    won[z] = code if better else won[z]


@_jit
def _moments(volume, radius, mean, inverse):  # type: ignore[no-untyped-def]
    """Mean, and one over the floored standard deviation, of every whole patch."""
    px, py, pz = radius
    n = (2 * px + 1) * (2 * py + 1) * (2 * pz + 1)
    for x in range(px, volume.shape[0] - px):
        for y in range(py, volume.shape[1] - py):
            for z in range(pz, volume.shape[2] - pz):
                box = volume[x - px : x + px + 1, y - py : y + py + 1, z - pz : z + pz + 1]
                total = 0.0
                for value in box.flat:
                    total += value
                middle = total / n
                spread = 0.0
                for value in box.flat:
                    spread += (value - middle) ** 2
                mean[x, y, z] = middle
                inverse[x, y, z] = 1 / max(math.sqrt(spread / max(n - 1, 1)), SD_FLOOR)


@_parallel
def _solve_all(target, atlases, classes, solve, winners, steps, settings, slab, votes):  # type: ignore[no-untyped-def]
    """Slabs along x no thinner than votes reach: every other one at a time, so that no two threads share a place."""
    count = (solve.shape[0] + slab - 1) // slab
    for phase in range(2):
        for half in numba.prange((count + 1 - phase) // 2):
            start = (2 * half + phase) * slab
            _solve_slab(target, atlases, classes, solve, winners, steps, settings, (start, min(start + slab, solve.shape[0])), votes)


@_jit
def _solve_slab(target, atlases, classes, solve, winners, steps, settings, span, votes):  # type: ignore[no-untyped-def]
    around, reach, voting = steps
    many, channels, n = atlases.shape[0], atlases.shape[1], len(around)
    flat_t, flat_a = target.reshape(channels, -1), atlases.reshape(many, channels, -1)
    flat_c, flat_w = classes.reshape(many, -1), winners.reshape(many, -1)
    wanted, mine = np.empty(channels * n, target.dtype), np.empty((many, channels * n), target.dtype)
    positions, weights = np.empty(many, np.int64), np.empty(many, np.float64)
    matrix = np.empty((many, many + 1), np.float64)
    _, ny, nz = solve.shape
    for x in range(span[0], span[1]):
        for y in range(ny):
            for z in range(nz):
                if solve[x, y, z]:
                    voxel = (x * ny + y) * nz + z
                    for c in range(channels):
                        _patch(flat_t[c], voxel, around, wanted[c * n : (c + 1) * n])
                    for i in range(many):
                        positions[i] = voxel + reach[flat_w[i, voxel]]
                        for c in range(channels):
                            _patch(flat_a[i, c], positions[i], around, mine[i, c * n : (c + 1) * n])
                        for k in range(channels * n):
                            mine[i, k] = abs(wanted[k] - mine[i, k])
                    _weigh(mine, settings, matrix, weights)
                    for i in range(many):
                        weight = votes.dtype.type(weights[i])
                        for step in voting:
                            votes[voxel + step, flat_c[i, positions[i] + step]] += weight


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
