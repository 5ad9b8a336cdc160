"""The backend for CPUs, compiled by Numba: loops whose working set stays in the cache.

Measured on a hippocampus crop with 20 atlases it is many times faster than the same sums in PyTorch, which has to write
and read every intermediate array. The result does not depend on the number of threads.
"""

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench_baselines.patches import SD_FLOOR, PatchProblem, WeightRule, offsets, tie_margin

_KINDS = {"joint": 0, "inverse": 1, "gaussian": 2}
_jit = numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, boundscheck=False)
_parallel = numba.njit(
    cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, parallel=True, boundscheck=False
)


def solve(
    problem: PatchProblem,
    rule: WeightRule,
    *,
    classes: int,
    threads: int,
    maps: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.floating[Any]]:
    """Solves every voxel and sums the votes.

    Args:
        problem: The problem.
        rule: How differences become weights.
        classes: Number of labels.
        threads: CPU threads to use.
        maps: Gets the weight of each atlas at each voxel to solve (atlas, x, y, z).

    Returns:
        Sums of weights (class, x, y, z) on the padded box.
    """
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    winners = search(problem)
    votes = np.zeros((*problem.shape, classes), dtype=problem.target.dtype)
    settings = np.array([_KINDS[rule.kind], rule.beta, rule.alpha, rule.non_negative], dtype=np.float64)
    arrays = problem.target, problem.atlases, problem.classes, problem.solve
    steps = problem.steps(problem.patch), problem.steps(problem.search), problem.steps(problem.voting)
    kept = (np.empty((0, 0), np.float32) if maps is None else maps).reshape(-1, problem.solve.size)
    slab = max(1, 2 * problem.voting[0])
    _solve_all(*arrays, winners, steps, settings, slab, votes.reshape(-1, classes), kept)
    return votes.transpose(3, 0, 1, 2)


def search(problem: PatchProblem) -> npt.NDArray[np.int16]:
    """The best offset of each voxel and atlas: the highest normalised correlation, the first in ties.

    Only patches whose middle is in the image are looked at.

    Returns:
        (atlas, x, y, z) on the padded box, indices into `offsets(search)`.
    """
    nx, ny, nz = problem.shape
    winners = np.zeros((len(problem.atlases), nx, ny * nz), dtype=np.int16)
    spans = _spans(problem.solve)
    arrays = problem.target, problem.atlases, problem.inside.reshape(nx, ny * nz)
    both = spans, _widened(spans, problem.patch[0])
    steps, patch = np.array(offsets(problem.search), dtype=np.int64), np.array(problem.patch, dtype=np.int64)
    _search_all(*arrays, both, steps, patch, problem.target.dtype.type(tie_margin(problem)), winners)
    return winners.reshape(-1, *problem.shape)


def _spans(solve: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each plane (y, z) along x, the flat range that holds its voxels to solve; empty where there are none."""
    flat = solve.reshape(len(solve), -1)
    first, last = flat.argmax(axis=1), flat.shape[1] - flat[:, ::-1].argmax(axis=1)
    used = flat.any(axis=1)
    return np.stack([np.where(used, first, flat.shape[1]), np.where(used, last, 0)], axis=1)


def _widened(spans: npt.NDArray[np.int64], radius: int) -> npt.NDArray[np.int64]:
    """The flat range of each plane that patches around the voxels to solve reach, along x."""
    low = ndimage.minimum_filter1d(spans[:, 0], 2 * radius + 1, mode="nearest")
    high = ndimage.maximum_filter1d(spans[:, 1], 2 * radius + 1, mode="nearest")
    return np.stack([low, high], axis=1)


@_parallel
def _search_all(target, atlases, inside, spans, offsets, patch, tie, winners):  # type: ignore[no-untyped-def]
    """Planes (y, z) are handled as one long row each: what wraps around at the ends of lines falls on the padding."""
    many, channels, nx, ny, nz = atlases.shape
    mean_t, inverse_t = np.zeros((channels, nx, ny * nz), target.dtype), np.zeros((channels, nx, ny * nz), target.dtype)
    for c in range(channels):
        _moments(target[c], patch, mean_t[c], inverse_t[c])
    for atlas in numba.prange(many):
        mean_a, inverse_a = np.zeros_like(mean_t), np.zeros_like(mean_t)
        for c in range(channels):
            _moments(atlases[atlas, c], patch, mean_a[c], inverse_a[c])
            # not a number is better than nothing: a patch whose middle is outside the image never wins
            for x in range(nx):
                for place in range(ny * nz):
                    if not inside[x, place]:
                        inverse_a[c, x, place] = np.nan
        _search_atlas(
            (target.reshape(channels, nx, -1), mean_t, inverse_t),
            (atlases[atlas].reshape(channels, nx, -1), mean_a, inverse_a),
            spans,
            offsets,
            (patch, nz),
            tie,
            winners[atlas],
        )


@_jit
def _search_atlas(target, atlas, spans, offsets, sizes, tie, winner):  # type: ignore[no-untyped-def]
    """Offset by offset, a moving stack of planes as deep as the patch: all of it stays in the cache."""
    (image_t, mean_t, inverse_t), (image_a, mean_a, inverse_a) = target, atlas
    channels, nx, plane = image_t.shape
    (middle, wide), (patch, nz) = spans, sizes
    px, depth = patch[0], 2 * patch[0] + 1
    n = image_t.dtype.type(depth * (2 * patch[1] + 1) * (2 * patch[2] + 1))
    stack, scratch = np.zeros((channels, depth, plane), image_t.dtype), np.zeros((2, plane), image_t.dtype)
    sums, agreement = np.zeros(plane, image_t.dtype), np.zeros(plane, image_t.dtype)
    best, first = np.full((nx, plane), -np.inf, image_t.dtype), np.zeros((nx, plane), np.int32)
    for index in range(len(offsets)):
        dx, step = offsets[index, 0], offsets[index, 1] * nz + offsets[index, 2]
        for ahead in range(nx):
            low, high = wide[ahead]
            if low < high:
                for c in range(channels):
                    _plane_sum(
                        image_t[c, ahead],
                        image_a[c, ahead + dx],
                        (low, high, step),
                        (patch, nz),
                        scratch,
                        stack[c, ahead % depth],
                    )
            x = ahead - px
            low, high = middle[max(x, 0)]
            if x >= 0 and low < high:
                for c in range(channels):
                    _stack_sum(stack[c], low, high, sums)
                    _agree(
                        sums[low:high],
                        (mean_t[c, x, low:high], inverse_t[c, x, low:high]),
                        (mean_a[c, x + dx, low + step : high + step], inverse_a[c, x + dx, low + step : high + step]),
                        n,
                        c == 0,
                        agreement[low:high],
                    )
                _keep_better(agreement[low:high], tie, np.int32(index), best[x, low:high], first[x, low:high])
    winner[:] = first


@_jit
def _plane_sum(target, atlas, span, sizes, scratch, sums):  # type: ignore[no-untyped-def]
    """Products of one plane of the target and of the shifted atlas, summed over the patch along z and y."""
    (low, high, step), (patch, nz) = span, sizes
    products, lines = scratch
    start, end = low - patch[1] * nz, high + patch[1] * nz
    _multiply(
        target[start - patch[2] : end + patch[2]],
        atlas[start - patch[2] + step : end + patch[2] + step],
        products[start - patch[2] : end + patch[2]],
    )
    _box(products, start, end, 1, patch[2], lines[start:end])
    _box(lines, low, high, nz, patch[1], sums[low:high])


@_jit
def _stack_sum(stack, low, high, out):  # type: ignore[no-untyped-def]
    """Sum of all planes of a stack. Common depths in one pass."""
    if len(stack) == 5:
        a, b, c = stack[0, low:high], stack[1, low:high], stack[2, low:high]
        d, e, total = stack[3, low:high], stack[4, low:high], out[low:high]
        for i in range(high - low):
            total[i] = (a[i] + b[i] + c[i]) + (d[i] + e[i])
    else:
        out[low:high] = stack[0, low:high]
        for k in range(1, len(stack)):
            one, total = stack[k, low:high], out[low:high]
            for i in range(high - low):
                total[i] += one[i]


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
def _agree(products, of_target, of_atlas, n, first, agreement):  # type: ignore[no-untyped-def]
    """Sum over the patch of t * a, both normalised, of one modality; added to those before unless it is the first."""
    mean_t, inverse_t = of_target
    mean_a, inverse_a = of_atlas
    if first:
        for i in range(len(agreement)):
            agreement[i] = (products[i] - n * mean_t[i] * mean_a[i]) * inverse_a[i] * inverse_t[i]
    else:
        for i in range(len(agreement)):
            agreement[i] += (products[i] - n * mean_t[i] * mean_a[i]) * inverse_a[i] * inverse_t[i]


@_jit
def _keep_better(found, tie, index, best, winner):  # type: ignore[no-untyped-def]
    for i in range(len(found)):
        better = found[i] > best[i] + tie
        best[i] = found[i] if better else best[i]
        winner[i] = index if better else winner[i]


@_jit
def _moments(volume, patch, mean, inverse):  # type: ignore[no-untyped-def]
    """Mean, and one over the floored standard deviation, of every whole patch; in double precision, for the square."""
    n = (2 * patch[0] + 1) * (2 * patch[1] + 1) * (2 * patch[2] + 1)
    values = volume.ravel().astype(np.float64)
    strides = (volume.shape[1] * volume.shape[2], volume.shape[2], 1)
    sums, squares = _box_sums(values, strides, patch), _box_sums(values * values, strides, patch)
    flat_mean, flat_inverse = mean.ravel(), inverse.ravel()
    for i in range(len(values)):
        middle = sums[i] / n
        spread = max(squares[i] - sums[i] * middle, 0.0) / max(n - 1, 1)
        flat_mean[i] = middle
        flat_inverse[i] = 1 / max(math.sqrt(spread), SD_FLOOR)


@_jit
def _box_sums(values, strides, patch):  # type: ignore[no-untyped-def]
    """Sums over the box around each place of a flat volume; what wraps around falls on the padding."""
    for axis in range(3):
        reach = strides[axis] * patch[axis]
        sums = np.zeros_like(values)
        _box(values, reach, len(values) - reach, strides[axis], patch[axis], sums[reach : len(values) - reach])
        values = sums
    return values


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
    matrix = np.empty((many, many + 1), np.float64)
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
                    for i in range(many):
                        for c in range(channels):
                            _patch(flat_a[i, c], positions[i], around, mine[i, c * n : (c + 1) * n])
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
