"""Trouble of the machine is no method's result, one method cannot spoil another, and what is damaged is made again."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from builders import write_dataset
from dlfbench import plugins
from dlfbench.engine.execute import Watcher
from dlfbench.engine.trouble import RunStopped
from dlfbench.engine.work import Options, Work, prepare, run_study
from dlfbench.errors import InputError
from dlfbench.records.results import read_results
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.study.tables import make_study
from dlfbench.volumes import Atlas, AtlasSet, Segmentation, Target

SILENT = Watcher(lambda task, outcome: None, lambda event: None)
SIMPLE = {"train": "side=L|R", "hold_out": 0.5, "test_cases": 2}


def labels_of(target: Target) -> Segmentation:
    return Segmentation((target.images[0] > 30).astype(np.int16))


class Untold(Exception):
    def __str__(self) -> str:
        raise TypeError("no text")


@dataclass(frozen=True)
class Spoiler(Segmenter):
    """Does something to its process, then answers."""

    needs_atlases: ClassVar[bool] = False
    how: str = "no"

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        if self.how == "progress":
            context.progress(np.array(0.5), Odd("half"))  # type: ignore[arg-type]
            context.progress("half", "done")  # type: ignore[arg-type]
        getattr(self, self.how.partition(" ")[0])(self.how.partition(" ")[2])
        return labels_of(target)

    def no(self, text: str) -> None:
        """Nothing."""

    def umask(self, text: str) -> None:
        os.umask(0o777)

    def alarm(self, text: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    def chdir(self, text: str) -> None:
        os.chdir("/")

    def stdin(self, text: str) -> None:
        assert sys.stdin.read() == ""
        os.read(0, 100)

    def dtype(self, text: str) -> None:
        import torch

        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    def full(self, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def progress(self, text: str) -> None:
        """Nothing more."""

    def long(self, text: str) -> None:
        raise ValueError("found " + 1_000_000 * "1, ")

    def untold(self, text: str) -> None:
        raise Untold

    def surrogate(self, text: str) -> None:
        raise ValueError("broken \udcff text")

    def peek(self, path: str) -> None:
        for reference in Path(path).glob("labelsTr/*"):
            with contextlib.suppress(Exception):
                reference.read_bytes()


@dataclass(frozen=True)
class Plain(Segmenter):
    """Fails where its process is not as it should be."""

    needs_atlases: ClassVar[bool] = False

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        time.sleep(0.2)
        umask = os.umask(0)
        os.umask(umask)
        assert umask != 0o777
        if "torch" in sys.modules:
            import torch

            assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)
        return labels_of(target)


@dataclass(frozen=True)
class Slow(Segmenter):
    """Trains for a while, and says so; leaves a model."""

    needs_atlases: ClassVar[bool] = False
    needs_training: ClassVar[bool] = True
    seconds: float = 0.0
    fail: bool = False

    def fit(self, training: Training, context: Context) -> None:
        for _ in range(int(self.seconds * 20)):
            context.progress(0.5, "half way")
            time.sleep(0.05)
        if self.fail:
            raise RuntimeError("cannot learn")
        for case in training.cases:
            with contextlib.suppress(Exception):  # a method may catch anything
                case.read_target()
        (context.folder / "model").write_bytes(bytes(range(200)))

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        (context.folder / "model").read_bytes()
        return labels_of(target)


@dataclass(frozen=True)
class Dying:
    """A registration whose process dies the first time, in the way asked for; the atlas is taken as it is."""

    marker: str = ""
    how: int = signal.SIGKILL

    def version(self) -> str:
        return "1"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        if not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), self.how)
        return WarpedAtlas(atlas.images.astype(np.float32), atlas.labels)


@dataclass(frozen=True)
class Odd:
    """A registration that goes wrong for one atlas, in the way asked for; other atlases are taken as they are."""

    how: str = ""

    def version(self) -> str:
        return "1"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        images, labels = atlas.images.astype(np.float32), atlas.labels
        if atlas.name == ODD_ATLAS:
            images = np.full_like(images, np.nan) if self.how == "nan" else images
            labels = labels.astype(np.float32) if self.how == "float labels" else labels
            labels = labels[1:] if self.how == "shape" else labels
            if self.how == "tool":
                subprocess.run(["no_such_tool"], check=True)
            if self.how == "exit":
                sys.exit("no licence")
            if self.how == "hang":
                time.sleep(600)
        return WarpedAtlas(images, labels)


ODD_ATLAS = "p01L"
KNOWN = {"spoiler": Spoiler, "plain": Plain, "slow": Slow, "dying": Dying, "odd": Odd}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    known = plugins.load
    monkeypatch.setattr(plugins, "load", lambda group, name: KNOWN.get(name) or known(group, name))
    own = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*own, os.environ.get("PYTHONPATH", "")]))


def work(data: Path, out: Path, cache: Path, methods: Mapping[str, Any], workers: int = 1, **tables: Any) -> Work:
    start = {"data": {"dataset": str(data)}, "protocol": SIMPLE, "methods": dict(methods)}
    return prepare(make_study({**start, **tables}), Options(out=out, cache=cache, workers=workers))


def run(data: Path, out: Path, cache: Path, methods: Mapping[str, Any], **tables: Any) -> pd.DataFrame:
    run_study(work(data, out, cache, methods, **tables), SILENT)
    results = read_results(out)
    return results[results.kind == "method"]


def failed_products(out: Path) -> list[str]:
    return [path.name for path in out.glob("tasks/*/*.json") if '"status": "failed"' in path.read_text()]


@pytest.fixture
def study_process(data: Path, tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts a run of a slow fit in a process of its own."""
    code = (
        "import signal, sys; from pathlib import Path; import test_engine_faults as t\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # nohup takes it away
        "t.plugins.load = lambda group, name, known=t.plugins.load: t.KNOWN.get(name) or known(group, name)\n"
        "data, out, cache = map(Path, sys.argv[1:])\n"
        "t.run(data, out, cache, {'slow': {'seconds': 3.0}})"
    )
    started = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([sys.executable, "-c", code, data, tmp_path / "run", tmp_path / "cache"]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_a_fit_whose_run_was_killed_leaves_no_product(
    how: int, study_process: Callable[[], "subprocess.Popen[bytes]"], data: Path, tmp_path: Path
) -> None:
    process = study_process()
    folder = tmp_path / "run" / "tasks" / "fit"
    deadline = time.monotonic() + 60
    while not (folder.is_dir() and any(path.is_dir() for path in folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(how)
    process.wait()
    time.sleep(1.0)  # the child would have spoken long since
    assert not list(folder.glob("*.json"))
    assert set(run(data, tmp_path / "run", tmp_path / "cache", {"slow": {"seconds": 3.0}}).status) == {"ok"}


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_stops_the_run_and_costs_no_atlas(data: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    registration = {"use": "dying", "marker": str(marker)}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "warps").write_text("in the way")
    with pytest.raises(RunStopped, match="warps"):
        run(data, tmp_path / "run", tmp_path / "cache", {"mv": {}}, registration=registration)
    assert not failed_products(tmp_path / "run")
    (tmp_path / "cache" / "warps").unlink()
    after = run(data, tmp_path / "run", tmp_path / "cache", {"mv": {}}, registration=registration)
    undisturbed = run(data, tmp_path / "other", tmp_path / "cache2", {"mv": {}}, registration=registration)
    pd.testing.assert_frame_equal(after, undisturbed)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_registration_whose_process_died_is_made_again(how: int, data: Path, tmp_path: Path) -> None:
    registration = {"use": "dying", "marker": str(tmp_path / "marker"), "how": int(how)}
    results = run(data, tmp_path / "run", tmp_path / "cache", {"mv": {}}, registration=registration)
    assert set(results.status) == {"ok"}
    assert not failed_products(tmp_path / "run")
    assert set(pd.read_parquet(tmp_path / "run" / "registrations.parquet")["flags"]) == {""}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("float labels", "labels have type float32, expected integers"),
        pytest.param("shape", "labels have shape", marks=pytest.mark.slow),
        pytest.param("nan", "values that are not finite", marks=pytest.mark.slow),
        ("tool", "FileNotFoundError: [Errno 2] No such file or directory: 'no_such_tool'"),
        pytest.param("exit", "SystemExit: no licence", marks=pytest.mark.slow),
    ],
)
def test_a_registration_that_raises_or_answers_wrongly_is_blamed_itself_and_the_others_go_on(
    how: str, said: str, data: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    results = run(data, tmp_path / "run", cache, {"mv": {}}, registration={"use": "odd", "how": how})
    assert set(results.status) == {"ok"}
    made = pd.read_parquet(tmp_path / "run" / "registrations.parquet")
    of_odd = made[made.atlas == ODD_ATLAS]
    assert set(made[made.atlas != ODD_ATLAS]["flags"]) == {""}
    assert len(of_odd)
    for target, flags in zip(of_odd.target, of_odd["flags"], strict=True):
        assert flags.startswith(f"failed: RuntimeError: Odd, atlas {ODD_ATLAS} on target {target}: ")
        assert said in flags
    assert len(list(cache.rglob("*.npz"))) == len(made) - len(of_odd)


def test_registrations_that_fail_again_cost_no_label_map(data: Path, tmp_path: Path) -> None:
    registration = {"use": "odd", "how": "tool"}
    run(data, tmp_path, tmp_path, {"mv": {}}, registration=registration)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("segmentations/**/*.nii.gz")}
    study = work(data, tmp_path, tmp_path, {"mv": {}}, registration=registration).plan.study
    again = prepare(study, Options(out=tmp_path, cache=tmp_path, workers=1, retry_failed=True))
    tried: list[str] = []
    run_study(again, Watcher(lambda task, outcome: tried.append(task.kind), lambda event: None))
    assert set(tried) == {"registration"}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_registration_that_hangs_is_stopped_at_the_time_limit_and_the_others_go_on(
    data: Path, tmp_path: Path
) -> None:
    asked = {"registration": {"use": "odd", "how": "hang"}, "budget": {"time_limit_s": 1.5}}
    results = run(data, tmp_path / "run", tmp_path / "cache", {"mv": {}}, **asked)
    assert set(results.status) == {"ok"}
    made = pd.read_parquet(tmp_path / "run" / "registrations.parquet")
    assert set(made[made.atlas != ODD_ATLAS]["flags"]) == {""}
    assert set(made[made.atlas == ODD_ATLAS]["flags"]) == {"failed: time limit of 1.5 s reached"}


@pytest.mark.slow
@pytest.mark.parametrize("method", [{"plain": {}}, {"slow": {}}])
def test_a_dataset_that_cannot_be_reached_is_no_result(method: dict[str, Any], data: Path, tmp_path: Path) -> None:
    ready = work(data, tmp_path / "run", tmp_path / "cache", method)
    (data / "imagesTr").rename(data / "away")
    try:
        with pytest.raises(RunStopped, match=r"imagesTr.*not found"):
            run_study(ready, SILENT)
    finally:
        (data / "away").rename(data / "imagesTr")
    assert not failed_products(tmp_path / "run")
    assert set(run(data, tmp_path / "run", tmp_path / "cache", method).status) == {"ok"}


def test_a_disk_that_is_full_wherever_a_method_writes_stops_the_run(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="No space left on device; make room"):
        run(data, tmp_path, tmp_path, {"spoiler": {"how": "full"}})
    assert not failed_products(tmp_path)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_blames_no_method(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, dlfbench.engine.tasks.methods as t\n"
        "def full(*a): raise OSError(errno.ENOSPC, 'No space left on device', str(a[0]))\n"
        "t.write_labels = full\n"
    )
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
        with pytest.raises(RunStopped, match="No space left on device; make room"):
            run(data, tmp_path / "run", tmp_path, {"plain": {}})
    assert not list((tmp_path / "run").glob("tasks/segmentation/*.json"))
    assert set(run(data, tmp_path / "run", tmp_path, {"plain": {}}).status) == {"ok"}


SPOILERS = ["umask", "alarm", "chdir", "stdin", "dtype"]


@pytest.mark.slow
@pytest.mark.parametrize("how", SPOILERS)
def test_what_one_method_does_to_its_process_reaches_no_other(how: str, data: Path, tmp_path: Path) -> None:
    results = run(data, tmp_path, tmp_path, {"spoiler": {"how": how}, "plain": {}})
    assert set(results.status) == {"ok"}, results.reason.unique()


def test_what_a_method_says_and_raises_is_its_own_and_kept_short(data: Path, tmp_path: Path) -> None:
    methods = {how: {"use": "spoiler", "how": how} for how in ("long", "untold", "progress")}
    results = run(data, tmp_path, tmp_path, {**methods, "plain": {}})
    said = results.groupby("method").reason.first()
    assert said["plain"] == ""
    assert said["untold"] == "Untold"
    assert said["progress"] == "ValueError: could not convert string to float: 'half'"
    assert said["long"].startswith("ValueError: found 1, 1")
    assert said["long"].endswith("... (all of it: see the log)")
    assert results.reason.str.len().max() < 3000


def test_an_end_that_cannot_be_told_stops_no_run(data: Path, tmp_path: Path) -> None:
    def ended(task: object, outcome: object) -> None:
        raise ZeroDivisionError

    run_study(work(data, tmp_path, tmp_path, {"plain": {}}), Watcher(ended, lambda event: None))
    assert set(read_results(tmp_path).status) == {"ok"}


@pytest.mark.slow
def test_a_reason_that_utf8_cannot_hold_costs_nobody_the_table(data: Path, tmp_path: Path) -> None:
    results = run(data, tmp_path, tmp_path, {"spoiler": {"how": "surrogate"}, "plain": {}})
    assert results[results.method == "spoiler"].reason.str.contains(r"broken \udcff text", regex=False).all()
    assert "plain" in (tmp_path / "results.csv").read_text()


def test_opening_the_reference_of_a_test_case_is_the_failure_s_reason(data: Path, tmp_path: Path) -> None:
    results = run(data, tmp_path, tmp_path, {"spoiler": {"how": f"peek {data}"}})
    assert set(results.status) == {"failed"}
    assert results.reason.str.contains("opened the reference of a test case").all()


@pytest.mark.slow
def test_a_failing_fit_has_the_same_reason_after_another_start(data: Path, tmp_path: Path) -> None:
    once = run(data, tmp_path / "once", tmp_path, {"slow": {"fail": True}})
    run(data, tmp_path / "twice", tmp_path, {"slow": {"fail": True}})
    for kind in ("segmentation", "score"):
        for path in (tmp_path / "twice" / "tasks" / kind).iterdir():
            path.unlink()  # as if killed between
    pd.testing.assert_frame_equal(once, run(data, tmp_path / "twice", tmp_path, {"slow": {"fail": True}}))


@pytest.mark.slow
def test_two_starts_at_a_time_lose_no_method(data: Path, tmp_path: Path) -> None:
    first, second = (work(data, tmp_path, tmp_path, {name: {"use": "plain"}}) for name in ("one", "two"))
    run_study(first, SILENT)
    with pytest.raises(InputError, match="has run here just now"):
        run_study(second, SILENT)
    assert set(run(data, tmp_path, tmp_path, {"two": {"use": "plain"}}).method) == {"one", "two"}


@pytest.mark.slow
def test_a_run_folder_that_is_renamed_stops_the_run_and_is_not_split(data: Path, tmp_path: Path) -> None:
    ready = work(data, tmp_path / "run", tmp_path / "cache", {"plain": {}})
    renamed = []

    def ended(task: Any, outcome: Any) -> None:
        if not renamed:
            renamed.append((tmp_path / "run").rename(tmp_path / "moved"))

    with pytest.raises(RunStopped, match="was it moved"):
        run_study(ready, Watcher(ended, lambda event: None))
    assert not (tmp_path / "run").exists()
    assert set(run(data, tmp_path / "moved", tmp_path / "cache", {"plain": {}}).status) == {"ok"}


def _flip(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x04
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "kinds"),
    [
        ("tasks/fit/*/model", {"fit", "segmentation", "score"}),
        ("segmentations/slow/fold0/*.nii.gz", {"segmentation", "score"}),
        ("tasks/score/*.json", {"score"}),
    ],
)
def test_what_is_damaged_is_made_again(files: str, kinds: set[str], data: Path, tmp_path: Path) -> None:
    before = run(data, tmp_path, tmp_path / "cache", {"slow": {}})
    damaged = sorted(tmp_path.glob(files))[0]
    content = damaged.read_bytes()
    for damage in (lambda: _flip(damaged), lambda: damaged.write_bytes(content[:-20]), damaged.unlink):
        damage()
        ready = work(data, tmp_path, tmp_path / "cache", {"slow": {}})
        assert {task.kind for task in ready.todo.values()} == kinds
        run_study(ready, SILENT)
        after = read_results(tmp_path)
        pd.testing.assert_frame_equal(before, after[after.kind == "method"])
        assert not work(data, tmp_path, tmp_path / "cache", {"slow": {}}).todo


@pytest.mark.slow
def test_a_run_in_which_nothing_succeeded_says_so(
    data: Path, tmp_path: Path, dlfbench: Callable[..., tuple[int, str]]
) -> None:
    flags = ["--data", data, "--hold-out", "0.5", "--test-cases", "1", "--methods", "spoiler[how=surrogate]"]
    code, text = dlfbench("run", *flags, "--out", tmp_path / "run")
    assert code == 1
    assert "nothing succeeded" in text
