"""The search for each atlas's most similar patch, compiled by Numba: most of the time that SVWV and JLF take.

Offset by offset a moving stack of planes as deep as the patch gives the sums of products over all patches. Tiles of
some rows are searched by themselves, so that what is at work stays in the cache and what nobody asks for is skipped.

Every step is a loop over consecutive places of whole arrays, which becomes vector instructions. Indices are unsigned,
since negative ones would have to be looked for, and arrays are passed with a start, since slices are counted. A result
is never written where it was read, or the compiler makes masked stores of a choice, which are slow.
"""

import math

import numba
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.fusion.region import offsets
from dlfbench_baselines.patches import SD_FLOOR, PatchProblem, tie_margin

_TILE_ROWS, _TILE_COLUMNS = 16, 64
_FAST = {"contract", "reassoc", "nsz"}
_jit = numba.njit(cache=True, nogil=True, fastmath=_FAST, boundscheck=False)
_parallel = numba.njit(cache=True, nogil=True, fastmath=_FAST, parallel=True, boundscheck=False)
_unsigned = np.uint64


def search(problem: PatchProblem) -> npt.NDArray[np.int16]:
    """The best offset of each voxel and atlas: the highest normalised correlation, the first in ties.

    Only patches whose middle is in the image are looked at.

    Returns:
        (atlas, x, y, z) on the padded box, indices into `offsets(search)`.
    """
    winners = np.zeros((len(problem.atlases), *problem.shape), dtype=np.int16)
    room = np.add(problem.patch, problem.search)
    tiles = _tiles(problem.solve, room[1:])
    steps = np.array(offsets(problem.search), dtype=np.int64)
    # what a tile is called by: its box in the padded volume along y and z, then the ranges of its planes
    boxes = np.array([box for box, _ in tiles], dtype=np.int64)
    middle = np.stack([spans for _, spans in tiles])
    wide = np.stack([_widened(spans, problem.patch[0]) for spans in middle])
    arrays = problem.target, problem.atlases, problem.inside
    sizes = np.array(problem.patch, dtype=np.int64), room.astype(np.int64)
    tie = problem.target.dtype.type(tie_margin(problem))
    _search_all(*arrays, (boxes, middle, wide), steps, sizes, tie, winners)
    return winners


def _tiles(
    solve: npt.NDArray[np.bool_], room: npt.NDArray[np.int64]
) -> list[tuple[tuple[int, int, int, int], npt.NDArray[np.int64]]]:
    """Tiles along y and z that hold voxels to solve: (first y, end, first z, end) with room, and spans of planes."""
    found = []
    for y in range(room[0], solve.shape[1] - room[0], _TILE_ROWS):
        for z in range(room[1], solve.shape[2] - room[1], _TILE_COLUMNS):
            part = solve[:, y : min(y + _TILE_ROWS, solve.shape[1] - room[0])]
            part = part[:, :, z : min(z + _TILE_COLUMNS, solve.shape[2] - room[1])]
            if part.any():
                ((_, ys, zs),) = ndimage.find_objects(part.astype(np.int8))
                mine = np.pad(part[:, ys, zs], [(0, 0), (room[0],) * 2, (room[1],) * 2])
                box = y + ys.start - room[0], y + ys.stop + room[0], z + zs.start - room[1], z + zs.stop + room[1]
                found.append((box, _spans(mine)))
    return found


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
def _search_all(target, atlases, inside, tiles, offsets, sizes, tie, winners):  # type: ignore[no-untyped-def]
    patch, room = sizes
    boxes, middle, wide = tiles
    mean_t, inverse_t = np.zeros_like(target), np.zeros_like(target)
    for c in range(len(target)):
        _moments(target[c], patch, mean_t[c], inverse_t[c])
        _level(target[c], patch, inverse_t[c])
    for atlas in numba.prange(len(atlases)):
        mean_a, inverse_a = np.zeros_like(mean_t), np.zeros_like(mean_t)
        for c in range(len(target)):
            _moments(atlases[atlas, c], patch, mean_a[c], inverse_a[c])
            # not a number is better than nothing: a patch whose middle is outside the image never wins
            _forbid(inside, inverse_a[c])
        for tile in range(len(boxes)):
            box = boxes[tile]
            width = box[3] - box[2]
            found = _search_tile(
                (_cut(target, box), _cut(mean_t, box), _cut(inverse_t, box)),
                (_cut(atlases[atlas], box), _cut(mean_a, box), _cut(inverse_a, box)),
                (middle[tile], wide[tile]),
                offsets,
                (patch, width, (box[1] - box[0]) * width),
                tie,
            )
            _put_back(found, box, room, winners[atlas])


@_jit
def _level(volume, patch, inverse):  # type: ignore[no-untyped-def]
    """A patch of one value agrees with all others alike."""
    for x in range(patch[0], volume.shape[0] - patch[0]):
        for y in range(patch[1], volume.shape[1] - patch[1]):
            for z in range(patch[2], volume.shape[2] - patch[2]):
                if _is_constant(volume, (x, y, z), patch):
                    inverse[x, y, z] = 0


@_jit
def _is_constant(volume, middle, patch):  # type: ignore[no-untyped-def]
    value = volume[middle]
    for x in range(middle[0] - patch[0], middle[0] + patch[0] + 1):
        for y in range(middle[1] - patch[1], middle[1] + patch[1] + 1):
            for z in range(middle[2] - patch[2], middle[2] + patch[2] + 1):
                if volume[x, y, z] != value:
                    return False
    return True


@_jit
def _forbid(inside, inverse):  # type: ignore[no-untyped-def]
    for x in range(inside.shape[0]):
        for y in range(inside.shape[1]):
            for z in range(inside.shape[2]):
                if not inside[x, y, z]:
                    inverse[x, y, z] = np.nan


@_jit
def _cut(volumes, box):  # type: ignore[no-untyped-def]
    """The tile of each volume (channel, x, y, z), flat."""
    return volumes[:, :, box[0] : box[1], box[2] : box[3]].copy().reshape(len(volumes), -1)


@_jit
def _put_back(found, box, room, winners):  # type: ignore[no-untyped-def]
    """A tile's winners, flat, into the volume, less the room around the tile."""
    planes = found.reshape(-1, box[1] - box[0], box[3] - box[2])
    for x in range(len(planes)):
        for y in range(room[1], planes.shape[1] - room[1]):
            for z in range(room[2], planes.shape[2] - room[2]):
                winners[x, box[0] + y, box[2] + z] = planes[x, y, z]


@_jit
def _search_tile(target, atlas, spans, offsets, sizes, tie):  # type: ignore[no-untyped-def]
    """The winners of a tile, flat. Target and atlas are (values, means, inverse deviations), each (channel, place)."""
    (middle, wide), (patch, width, plane) = spans, sizes
    channels, size, depth = target[0].shape[0], target[0].shape[1], 2 * patch[0] + 1
    kind = target[0].dtype.type
    n = kind(depth * (2 * patch[1] + 1) * (2 * patch[2] + 1))
    stack, scratch = np.zeros((channels, depth * plane), target[0].dtype), np.zeros((2, plane), target[0].dtype)
    sums, agreement = np.zeros(plane, target[0].dtype), np.zeros(plane, target[0].dtype)
    best, first = np.full(2 * size, -np.inf, target[0].dtype), np.zeros(2 * size, np.int32)
    for index in range(len(offsets)):
        dx, step = offsets[index, 0], offsets[index, 1] * width + offsets[index, 2]
        # the best so far of one offset is read, and that of the next is written, in two halves by turns
        read, write = index % 2 * size, (index + 1) % 2 * size
        for ahead in range(len(middle)):
            x, there = ahead - patch[0], ahead * plane
            if wide[ahead, 0] < wide[ahead, 1]:
                for c in range(channels):
                    at = there, there + dx * plane + step, ahead % depth * plane
                    _plane_sum(target[0][c], atlas[0][c], at, wide[ahead], (patch, width), scratch, stack[c])
            if x >= 0 and middle[x, 0] < middle[x, 1]:
                here = _unsigned(x * plane)
                low, high = _unsigned(middle[x, 0]), _unsigned(middle[x, 1])
                for c in range(channels):
                    _stack_sum(stack[c], depth, _unsigned(plane), low, high, sums)
                    of_target = target[1][c], target[2][c], here
                    of_atlas = atlas[1][c], atlas[2][c], _unsigned((x + dx) * plane + step)
                    _agree(sums, of_target, of_atlas, n, c == 0, low, high, agreement)
                halves = _unsigned(read) + here, _unsigned(write) + here
                _keep_better(agreement, tie, np.int32(index), best, first, halves, low, high)
    last = len(offsets) % 2 * size
    return first[last : last + size]


@_jit
def _plane_sum(target, atlas, at, span, sizes, scratch, sums):  # type: ignore[no-untyped-def]
    """Products of one plane of the target and of the shifted atlas, summed over the patch along z and y.

    `at`: where the plane starts in the target, the shifted one in the atlas, and the sums in `sums`.
    """
    patch, width = sizes
    products, lines = scratch[0], scratch[1]  # unpacked they are not known to be contiguous: no vector instructions
    start, end = span[0] - patch[1] * width, span[1] + patch[1] * width
    first, count = start - patch[2], end - start + 2 * patch[2]
    _multiply(
        target, _unsigned(at[0] + first), atlas, _unsigned(at[1] + first), products, _unsigned(first), _unsigned(count)
    )
    one, places = _unsigned(1), _unsigned(start)
    _box(products, places, _unsigned(end), one, patch[2], lines, places)
    _box(lines, _unsigned(span[0]), _unsigned(span[1]), _unsigned(width), patch[1], sums, _unsigned(at[2] + span[0]))


@_jit
def _multiply(one, at_one, two, at_two, out, at, count):  # type: ignore[no-untyped-def]
    for i in range(count):
        out[at + i] = one[at_one + i] * two[at_two + i]


@_jit
def _box(values, low, high, stride, radius, out, at):  # type: ignore[no-untyped-def]
    """Sums along one axis: out[at + i] of values[low + i + k * stride], |k| <= radius. Common radii in one pass."""
    if radius == 0:
        for i in range(high - low):
            out[at + i] = values[low + i]
    elif radius == 1:
        for i in range(high - low):
            j = low + i
            out[at + i] = values[j - stride] + values[j] + values[j + stride]
    else:
        far = stride + stride
        for i in range(high - low):
            j = low + i
            out[at + i] = (values[j - stride] + values[j] + values[j + stride]) + (values[j - far] + values[j + far])
        for _ in range(3, radius + 1):
            far += stride
            for i in range(high - low):
                out[at + i] += values[low + i - far] + values[low + i + far]


@_jit
def _stack_sum(stack, depth, plane, low, high, out):  # type: ignore[no-untyped-def]
    """Sum of all planes of a stack. Common depths in one pass."""
    if depth == 5:
        b, c, d, e = plane, plane + plane, plane + plane + plane, plane + plane + plane + plane
        for i in range(low, high):
            out[i] = (stack[i] + stack[b + i] + stack[c + i]) + (stack[d + i] + stack[e + i])
    else:
        for i in range(low, high):
            out[i] = stack[i]
        start = plane
        for _ in range(1, depth):
            for i in range(low, high):
                out[i] += stack[start + i]
            start += plane


@_jit
def _agree(products, of_target, of_atlas, n, first, low, high, agreement):  # type: ignore[no-untyped-def]
    """Sum over the patch of t * a, both normalised, of one modality; added to those before unless it is the first."""
    mean_t, inverse_t, t = of_target
    mean_a, inverse_a, a = of_atlas
    if first:
        for i in range(low, high):
            agreement[i] = (products[i] - n * mean_t[t + i] * mean_a[a + i]) * inverse_a[a + i] * inverse_t[t + i]
    else:
        for i in range(low, high):
            agreement[i] += (products[i] - n * mean_t[t + i] * mean_a[a + i]) * inverse_a[a + i] * inverse_t[t + i]


@_jit
def _keep_better(found, tie, index, best, winner, halves, low, high):  # type: ignore[no-untyped-def]
    read, write = halves
    for i in range(low, high):
        before, known = best[read + i], winner[read + i]
        better = found[i] > before + tie
        best[write + i] = found[i] if better else before
        winner[write + i] = index if better else known


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
        low, high = _unsigned(reach), _unsigned(len(values) - reach)
        _box(values, low, high, _unsigned(strides[axis]), patch[axis], sums, low)
        values = sums
    return values
