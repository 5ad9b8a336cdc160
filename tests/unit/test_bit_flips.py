"""A flipped bit in 500 copies of each kind of product: made again or without effect, never silently wrong."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlfbench.files import is_intact, write_checked
from dlfbench.images import Grid, write_image
from dlfbench.records.folder import Product, RunFolder
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.registration.store import WarpStore

FLIPS = 500
KEY = "ab" + "0" * 30
ROW = {"label": 1, "dice": 0.8731234, "hd95_mm": 1.25, "bound": "candidate"}

Made = tuple[Path, Callable[[], Any], Any]


def score(root: Path) -> Made:
    folder = RunFolder(root)
    product = Product(KEY, "score", "ok", "", {"method": "mv", "fold": 0, "case": "a"}, {"wall_s": 0.5}, [ROW, ROW])
    folder.write_product(product)
    return folder.product_path("score", KEY), lambda: folder.read_product("score", KEY), product


def warp(root: Path) -> Made:
    store, generator = WarpStore(root), np.random.default_rng(0)
    shape = (4, 5, 6)
    labels = generator.integers(0, 3, shape).astype(np.int16)
    images = generator.normal(size=(1, *shape)).astype(np.float32)
    store.put(KEY, WarpedAtlas(images, labels, ("folded: 3% of voxels",)))
    (path,) = store.root.glob("*/*.npz")

    def read() -> Any:
        found = store.get(KEY)
        return found and (found.images.tobytes(), found.labels.tobytes(), found.labels.dtype, found.flags)

    return path, read, read()


def files_of_a_task(root: Path, name: str, write: Callable[[Path], None]) -> Made:
    folder = RunFolder(root)
    path = folder.make(root / name)
    write(path)
    product = Product(KEY, "fit", "ok", files=folder.left([path]).files)
    return path, lambda: None if folder.damaged(product) else "as it was left", "as it was left"


def label_map(root: Path) -> Made:
    grid = Grid.of((6, 6, 6), np.eye(4))
    labels = np.random.default_rng(0).integers(0, 3, grid.shape).astype(np.int16)
    return files_of_a_task(root, "segmentations/mv/fold0/a.nii.gz", lambda path: write_image(path, labels, grid))


def model(root: Path) -> Made:
    content = np.random.default_rng(0).bytes(2000)
    return files_of_a_task(root, f"tasks/fit/{KEY}", lambda path: path.write_bytes(content) and None)


def checkpoint(root: Path) -> Made:
    path, content = root / "checkpoint.pt", np.random.default_rng(0).bytes(2000)
    write_checked(path, lambda part: Path(part).write_bytes(content))
    return path, lambda: path.read_bytes() if is_intact(path) else None, content


def digest_of_a_checkpoint(root: Path) -> Made:
    path, read, content = checkpoint(root)
    return path.with_name(f"{path.name}.sha256"), read, content


@pytest.mark.parametrize("make", [score, warp, label_map, model, checkpoint, digest_of_a_checkpoint])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_flipped_bit_gives_another_result(make: Callable[[Path], Made], tmp_path: Path) -> None:
    path, read, expected = make(tmp_path)
    content, chance = path.read_bytes(), random.Random(1)
    assert read() == expected
    noticed = 0
    for _ in range(FLIPS):
        damaged, bit = bytearray(content), chance.randrange(8 * len(content))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        found = read()
        assert found is None or found == expected, f"bit {bit} of {path.name}: silently wrong"
        noticed += found is None
    assert noticed > FLIPS / 2


def test_a_checked_file_is_intact_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checked(path, lambda part: Path(part).write_bytes(b"one"))
    assert is_intact(path)

    def killed(part: str) -> None:
        Path(part).write_bytes(b"two")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_checked(path, killed)
    assert is_intact(path)
    # killed after the digests were written, before the file was
    (tmp_path / "checkpoint.pt.sha256").write_text((tmp_path / "checkpoint.pt.sha256").read_text())
    write_checked(path, lambda part: Path(part).write_bytes(b"two"))
    path.write_bytes(b"one")
    assert is_intact(path)
    assert not list(tmp_path.glob(".*"))
