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
_parallel = numba.njit(
    cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, parallel=True, boundscheck=False
)


def solve(problem: PatchProblem, rule: WeightRule, *, classes: int, threads: int) -> npt.NDArray[np.floating[Any]]:
    """Solves every voxel and sums the votes.

    Args:
        problem: The problem.
        rule: How differences become weights.
        classes: Number of labels.
        threads: CPU threads to use.

    Returns:
        Sums of weights (class, x, y, z) on the padded box.
    """
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
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
    nx, ny, nz = problem.shape
    winners = np.zeros((len(problem.atlases), nx, ny * nz), dtype=np.int16)
    _search_all(
        problem.target,
        problem.atlases,
        problem.inside.reshape(nx, ny * nz),
        _spans(problem),
        np.array(offsets(problem.search), dtype=np.int64),
        (np.array(problem.patch, dtype=np.int64), np.array(problem.search, dtype=np.int64)),
        problem.target.dtype.type(tie_margin(problem)),
        winners,
    )
    return winners.reshape(-1, *problem.shape)


def _spans(problem: PatchProblem) -> npt.NDArray[np.int64]:
    """For each plane (y, z) along x, the flat range that holds its voxels to solve; empty where there are none."""
    flat = problem.solve.reshape(len(problem.solve), -1)
    first, last = flat.argmax(axis=1), flat.shape[1] - flat[:, ::-1].argmax(axis=1)
    return np.stack([first, np.where(flat.any(axis=1), last, first)], axis=1)


@_parallel
def _search_all(target, atlases, inside, spans, offsets, radii, tie, winners):  # type: ignore[no-untyped-def]
    """Volumes are handled as one long row each: what wraps around at the ends of lines falls on the padding."""
    many, channels, nx, ny, nz = atlases.shape
    plane, patch, reach = ny * nz, radii[0], radii[1]
    n = target.dtype.type((2 * patch[0] + 1) * (2 * patch[1] + 1) * (2 * patch[2] + 1))
    mean_t, inverse_t = np.zeros((channels, nx, plane), target.dtype), np.zeros((channels, nx, plane), target.dtype)
    for c in range(channels):
        _moments(target[c], patch, mean_t[c], inverse_t[c])
    for atlas in numba.prange(many):
        mean_a, inverse_a = np.zeros_like(mean_t), np.zeros_like(mean_t)
        for c in range(channels):
            _moments(atlases[atlas, c], patch, mean_a[c], inverse_a[c])
        flat_t, flat_a = target.reshape(channels, -1), atlases[atlas].reshape(channels, -1)
        best = np.full((nx, plane), -np.inf, target.dtype)
        sums, scratch = np.zeros((channels, nx * plane), target.dtype), np.zeros((2, plane), target.dtype)
        agreement, sum_x = np.zeros(plane, target.dtype), np.zeros(plane, target.dtype)
        for index in range(len(offsets)):
            dx, step = offsets[index, 0], offsets[index, 1] * nz + offsets[index, 2]
            for c in range(channels):
                for x in range(reach[0], nx - reach[0]):
                    _plane_sum(
                        flat_t[c], flat_a[c], x * plane, dx * plane + step, (reach, patch, nz, plane), scratch, sums[c]
                    )
            for x in range(patch[0] + reach[0], nx - patch[0] - reach[0]):
                low, high = spans[x]
                if low < high:
                    for c in range(channels):
                        _box(sums[c], x * plane + low, x * plane + high, plane, patch[0], sum_x[low:high])
                        _agree(
                            sum_x[low:high],
                            (mean_t[c, x, low:high], inverse_t[c, x, low:high]),
                            (
                                mean_a[c, x + dx, low + step : high + step],
                                inverse_a[c, x + dx, low + step : high + step],
                            ),
                            n,
                            target.dtype.type(c > 0),
                            agreement[low:high],
                        )
                    valid = inside[x + dx, low + step : high + step]
                    _keep_better(
                        agreement[low:high], valid, tie, np.int16(index), best[x, low:high], winners[atlas, x, low:high]
                    )


@_jit
def _plane_sum(target, atlas, start, step, sizes, scratch, sums):  # type: ignore[no-untyped-def]
    """Products of one plane of the target and of the shifted atlas, summed over the patch along z and y."""
    reach, patch, nz, plane = sizes
    low = reach[1] * nz + reach[2]
    high = plane - low
    products, lines = scratch
    _multiply(target[start + low : start + high], atlas[start + step + low : start + step + high], products[low:high])
    low, high = low + patch[2], high - patch[2]
    _box(products, low, high, 1, patch[2], lines[low:high])
    low, high = low + patch[1] * nz, high - patch[1] * nz
    _box(lines, low, high, nz, patch[1], sums[start + low : start + high])


@_jit
def _box(values, low, high, stride, radius, out):  # type: ignore[no-untyped-def]
    """Sums along one axis: out[i] = sum of values[low + i + k * stride], |k| <= radius. Common radii in one pass."""
    if radius == 0:
        out[:] = values[low:high]
    elif radius == 1:
        a, b, c = values[low - stride : high - stride], values[low:high], values[low + stride : high + stride]
        for i in range(len(out)):
            out[i] = a[i] + b[i] + c[i]
    else:
        a, b, c = values[low - stride : high - stride], values[low:high], values[low + stride : high + stride]
        d, e = values[low - 2 * stride : high - 2 * stride], values[low + 2 * stride : high + 2 * stride]
        for i in range(len(out)):
            out[i] = (a[i] + b[i] + c[i]) + (d[i] + e[i])
        for k in range(3, radius + 1):
            a, b = values[low - k * stride : high - k * stride], values[low + k * stride : high + k * stride]
            for i in range(len(out)):
                out[i] += a[i] + b[i]


@_jit
def _multiply(one, two, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = one[i] * two[i]


@_jit
def _agree(products, of_target, of_atlas, n, kept, agreement):  # type: ignore[no-untyped-def]
    """Sum over the patch of t * a, both normalised, of one modality; added to the others' where `kept` is 1, not 0."""
    mean_t, inverse_t = of_target
    mean_a, inverse_a = of_atlas
    for i in range(len(agreement)):
        agreement[i] = kept * agreement[i] + (products[i] - n * mean_t[i] * mean_a[i]) * inverse_a[i] * inverse_t[i]


@_jit
def _keep_better(found, valid, tie, index, best, winner):  # type: ignore[no-untyped-def]
    for i in range(len(found)):
        better = (found[i] > best[i] + tie) & valid[i]
        best[i] = found[i] if better else best[i]
        winner[i] = index if better else winner[i]


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
                place = y * volume.shape[2] + z
                mean[x, place] = middle
                inverse[x, place] = 1 / max(math.sqrt(spread / max(n - 1, 1)), SD_FLOOR)


@_parallel
def _solve_all(target, atlases, classes, solve, winners, steps, settings, slab, votes):  # type: ignore[no-untyped-def]
    """Slabs along x no thinner than votes reach: every other one at a time, so that no two threads share a place."""
    count = (solve.shape[0] + slab - 1) // slab
    for phase in range(2):
        for half in numba.prange((count + 1 - phase) // 2):
            start = (2 * half + phase) * slab
            _solve_slab(
                target,
                atlases,
                classes,
                solve,
                winners,
                steps,
                settings,
                (start, min(start + slab, solve.shape[0])),
                votes,
            )


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
