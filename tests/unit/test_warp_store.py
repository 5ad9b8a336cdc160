import errno
import os
import stat
import threading
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.registration import store as store_module
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.registration.store import EntryInfo, WarpStore, default_cache_folder, warp_key

KEY = "ab" + "0" * 30


@dataclass(frozen=True)
class Shift:
    distance_mm: float = 1.0
    labels: str = "nearest"

    def version(self):
        return "shift 1"


def make_warped(shape=(4, 5, 6), seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(2, *shape)).astype(np.float32)
    return WarpedAtlas(images, rng.integers(0, 3, shape).astype(np.int16), ("folded: 3% of voxels",))


def equal(a, b):
    return (
        np.array_equal(a.images, b.images)
        and np.array_equal(a.labels, b.labels)
        and (a.images.dtype, a.labels.dtype, a.flags) == (b.images.dtype, b.labels.dtype, b.flags)
    )


def entry_of(store):
    (path,) = store.root.glob("*/*")
    return path


@pytest.fixture
def store(tmp_path):
    return WarpStore(tmp_path)


@pytest.fixture
def full(store):
    store.put(KEY, make_warped())
    return store


def test_what_is_put_comes_back_bit_by_bit(full):
    assert KEY in full
    assert equal(full.get(KEY), make_warped())


def test_an_entry_tells_its_flags_and_how_long_it_took(store):
    store.put(KEY, make_warped(), 1.5)
    assert store.about(KEY) == EntryInfo(make_warped().flags, 1.5)


def test_an_entry_of_a_build_before_has_no_time(full):
    with zipfile.ZipFile(entry_of(full)) as file:
        members = {name: file.read(name) for name in file.namelist() if name != "wall_s.json"}
    with zipfile.ZipFile(entry_of(full), "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    assert equal(full.get(KEY), make_warped())
    about = full.about(KEY)
    assert about.flags == make_warped().flags
    assert np.isnan(about.wall_s)


def test_an_empty_store_has_nothing(store):
    assert KEY not in store
    assert store.about(KEY) is None
    assert store.get(KEY) is None
    assert (store.info().entries, store.info().size_bytes, store.verify()) == (0, 0, [])


def test_info_counts_entries_and_bytes(full):
    full.put("cd" + KEY[2:], make_warped(seed=1))
    sizes = [path.stat().st_size for path in full.root.glob("*/*")]
    assert (full.info().entries, full.info().size_bytes) == (2, sum(sizes))


def test_clear_removes_every_entry(full):
    full.clear()
    assert KEY not in full
    assert full.info().entries == 0


def test_equal_warped_atlases_that_took_as_long_make_equal_files(full):
    before = entry_of(full).read_bytes()
    full.put(KEY, make_warped())
    assert entry_of(full).read_bytes() == before


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_entry_is_removed_and_can_be_made_again(full, share, caplog):
    content = entry_of(full).read_bytes()
    entry_of(full).write_bytes(content[: int(share * len(content))])
    assert full.get(KEY) is None
    assert KEY not in full
    assert "damaged entry removed" in caplog.text
    full.put(KEY, make_warped())
    assert equal(full.get(KEY), make_warped())


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("shape", [(2, 2, 2), (16, 16, 16)], ids=["every byte", "header of much data"])
def test_a_flipped_bit_never_gives_other_values(store, shape, bit):
    sound = make_warped(shape)
    content = store_module._pack(sound, 1.5)
    path = store.root / KEY[:2] / f"{KEY}.npz"
    path.parent.mkdir(parents=True)
    outcomes = []
    for position in range(min(len(content), 1000)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        found = store.get(KEY)
        outcomes.append(found is None)
        assert found is None or equal(found, sound), f"byte {position}"
    assert sum(outcomes) > len(outcomes) / 2


def test_verify_names_and_removes_the_damaged_and_keeps_the_sound(full):
    other = "cd" + KEY[2:]
    full.put(other, make_warped(seed=1))
    (full.root / "cd" / f"{other}.npz").write_bytes(b"nothing")
    seen = []
    assert full.verify(lambda done, total: seen.append((done, total))) == [other]
    assert seen == [(1, 2), (2, 2)]
    assert KEY in full
    assert other not in full


def test_an_entry_that_may_not_be_read_is_not_taken_for_damaged(full, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        full.get(KEY)
    assert KEY in full


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_behind(store, monkeypatch, code):
    def write_half(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match=os.strerror(code)):
        store.put(KEY, make_warped())
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_full_disk_keeps_the_entry_that_was_there(full, monkeypatch):
    def refuse(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="No space left"):
        full.put(KEY, make_warped(seed=1))
    assert equal(full.get(KEY), make_warped())


def put_often(root):
    store = WarpStore(root)
    for _ in range(40):
        store.put(KEY, make_warped((12, 12, 12)))


def get_often(root):
    store = WarpStore(root)
    expected = make_warped((12, 12, 12))
    found = [store.get(KEY) for _ in range(200)]
    return all(warped is not None and equal(warped, expected) for warped in found)


@pytest.mark.slow
def test_writers_and_readers_of_one_key_do_not_disturb_each_other(tmp_path):
    put_often(tmp_path)
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        writers = [pool.submit(put_often, tmp_path) for _ in range(2)]
        readers = [pool.submit(get_often, tmp_path) for _ in range(2)]
        assert all(reader.result() for reader in readers)
        assert [writer.result() for writer in writers] == [None, None]
    assert WarpStore(tmp_path).info().entries == 1
    assert len(list(WarpStore(tmp_path).root.glob("*/*"))) == 1


@pytest.mark.parametrize("sweep", [WarpStore.verify, WarpStore.clear])
def test_leftovers_of_killed_writers_go_once_they_are_old(full, sweep):
    old, new = (full.root / "ab" / f".{KEY}.{age}.part" for age in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert full.info().entries == 1
    sweep(full)
    assert not old.exists()
    assert new.exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_entries_as_the_umask_says(store):
    mask = os.umask(0o022)
    try:
        store.put(KEY, make_warped())
    finally:
        os.umask(mask)
    assert stat.S_IMODE(entry_of(store).stat().st_mode) == 0o644


def test_the_key_depends_on_each_ingredient_alone(monkeypatch):
    def key(target="t", atlas="a", registration=Shift()):
        return warp_key(target, atlas, registration)

    class Other(Shift):
        pass

    class Newer(Shift):
        def version(self):
            return "shift 2"

    Newer.__qualname__ = Shift.__qualname__
    keys = [key(), key("x"), key(atlas="x"), key("a", "t"), key(registration=Shift(2.0))]
    keys += [key(registration=Shift(labels="linear")), key(registration=Other()), key(registration=Newer())]
    monkeypatch.setattr(store_module, "_FORMAT", -1)
    assert len({*keys, key()}) == len(keys) + 1


class Tool(Shift):
    def version(self):
        raise FileNotFoundError("no such tool")


class Numbered(Shift):
    def version(self):
        return 3


@pytest.mark.parametrize(
    ("registration", "said"),
    [
        (Tool(), "registration Tool: its version cannot be found out: FileNotFoundError: no such tool"),
        (Numbered(), r"registration Numbered: version\(\) gave 3, expected a text"),
        (Shift(labels=Path("here")), "registration Shift: settings are numbers, text and tuples"),
    ],
)
def test_what_no_key_can_be_made_of_is_told(registration, said):
    with pytest.raises(InputError, match=said):
        warp_key("t", "a", registration)


def test_the_key_is_the_same_for_equal_settings_and_in_every_process():
    assert warp_key("t", "a", Shift()) == warp_key("t", "a", replace(Shift(2.0), distance_mm=1.0))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(warp_key, "t", "a", Shift()).result() == warp_key("t", "a", Shift())


def test_an_entry_stays_valid_where_the_store_moves(full, tmp_path):
    full.root.parent.joinpath("moved").mkdir()
    full.root.rename(tmp_path / "moved" / full.root.name)
    assert equal(WarpStore(tmp_path / "moved").get(KEY), make_warped())


def test_the_cache_folder_is_the_variable_else_the_user_s(monkeypatch):
    monkeypatch.setenv("DLFBENCH_CACHE", "~/warped")
    assert default_cache_folder() == Path.home() / "warped"
    monkeypatch.delenv("DLFBENCH_CACHE")
    assert default_cache_folder().name == "dlfbench"


def test_an_entry_that_several_want_is_made_once(store):
    made = []

    def need(number):
        with store.claim(KEY):
            if store.get(KEY) is None:
                time.sleep(0.05)
                made.append(number)
                store.put(KEY, make_warped())
        return store.get(KEY)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(need, range(4)))
    assert len(made) == 1
    assert all(equal(one, make_warped()) for one in found)
    assert not list(store.root.glob("*/*.lock"))


def test_a_claim_that_fails_is_given_up(store):
    with pytest.raises(ValueError, match="no overlap"), store.claim(KEY):
        raise ValueError("no overlap")
    with store.claim(KEY):
        assert store.get(KEY) is None


def test_a_claim_that_another_holds_is_told_and_not_waited_for_without_end(store, monkeypatch):
    monkeypatch.setattr(store_module, "_TELL_EVERY_S", 0.02)
    monkeypatch.setattr(store_module, "_LONGEST_WAIT_S", 0.1)
    told = []

    def need():
        with store.claim(KEY, waiting=told.append):
            told.append("made here")

    with store.claim(KEY):
        other = threading.Thread(target=need, daemon=True)
        other.start()
        other.join(timeout=30)
        assert not other.is_alive()
    assert len(told) > 2
    assert "another process makes the same warped atlas: waited for" in told[0]
    assert told[-1] == "made here"
