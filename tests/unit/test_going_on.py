"""What a start finds done of earlier ones, and what stops it: code, data or a disk that are not as they were."""

import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from builders import write_dataset
from dlfbench import plugins
from dlfbench.engine.child import carry_out
from dlfbench.engine.execute import _outdate, in_turn, pending
from dlfbench.engine.order import order_of_start
from dlfbench.engine.packing import code_of, pack
from dlfbench.engine.plan import make_plan, open_data
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.engine.trouble import Trouble, disk_trouble
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.segmenters.function import method_from_function
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.segmenters.registry import make_method
from dlfbench.study.tables import make_study
from dlfbench.volumes import Atlas, AtlasSet, Segmentation, Target


@dataclass(frozen=True)
class Flaky:
    """Takes atlases as they are; fails for one of them while a file is there."""

    marker: str = ""

    def version(self) -> str:
        return "1"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        if atlas.name == "p00L" and Path(self.marker).exists():
            raise RuntimeError("the licence server is away")
        return WarpedAtlas(atlas.images.astype(np.float32), atlas.labels)


@dataclass(frozen=True)
class Learning(Segmenter):
    """Learns nothing from atlases and answers with the first one; or meets a full disk, and says so or not."""

    needs_training: ClassVar[bool] = True
    trains_on_atlases: ClassVar[bool] = True
    full: bool = False
    loses: bool = False
    share: str = "0.5"

    def fit(self, training: Training, context: Context) -> None:
        for case in training.cases:
            case.read_atlases()
        context.progress(float(self.share), "learns")
        (context.folder / "model").write_text("model")

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        if self.loses:
            raise RuntimeError("cannot write")  # as ITK does, whatever a disk said
        if self.full:
            try:
                raise OSError(errno.ENOSPC, "No space left on device", "/tmp/scratch")
            except OSError as error:
                raise ValueError("cannot write") from error
        return Segmentation(atlases.labels[0])


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    known = plugins.load
    monkeypatch.setattr(
        plugins, "load", lambda group, name: {"flaky": Flaky, "learning": Learning}.get(name) or known(group, name)
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", people=3, sides="L")


@dataclass
class Start:
    """A start of one study: its tasks, and those that are left to do."""

    place: Place
    tasks: dict[str, Task]
    left: dict[str, Task]

    @property
    def kinds(self) -> dict[str, int]:
        return dict(Counter(task.kind for task in self.left.values()))

    def of_kind(self, kind: str) -> list[Task]:
        return [task for task in self.left.values() if task.kind == kind]

    def do(self, *only: str) -> None:
        """Does the tasks in this process; those of some kinds alone, as if it were stopped then."""
        for part in in_turn(self.left, self.place):
            _outdate(part, self.place)
            for key in order_of_start(part):
                if not only or part[key].kind in only:
                    self.do_one(part[key])

    def do_one(self, task: Task) -> None:
        product = carry_out(pack(task), self.place, lambda *words: None)
        if isinstance(product, Trouble):
            raise product
        self.place.folder.write_product(product)


def start(data: Path, methods: Mapping[str, Any] | None = None, *, retry_failed: bool = False) -> Start:
    people = len(list(data.glob("labelsTr/*")))
    study = make_study(
        {
            "data": {"dataset": str(data)},
            "protocol": {"folds": people},
            "methods": methods or {"mv": {}},
            "registration": {"use": "flaky", "marker": str(data.parent / "marker")},
        }
    )
    place = Place(data.parent / "run", data.parent / "cache")
    place.run.mkdir(exist_ok=True)
    tasks = make_plan(study, open_data(study)).tasks
    return Start(place, tasks, pending(tasks, place, retry_failed=retry_failed))


def test_what_did_without_an_atlas_is_made_again_with_it(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=4, sides="L")
    methods: dict[str, Any] = {"mv": {}, "learning": {}}
    marker = data.parent / "marker"
    marker.touch()
    start(data, methods).do()
    assert not start(data, methods).left
    marker.unlink()
    again = start(data, methods, retry_failed=True)
    # of p00L as an atlas: the three others, and the three folds that train on it, whose models make a label map each
    affected = {"segmentation": 6, "score": 6, "bounds": 3, "fit": 3}
    assert again.kinds == {"registration": 3, **affected}
    again.do("registration")
    again = start(data, methods)
    assert again.kinds == affected
    again.do()
    assert not start(data, methods, retry_failed=True).left
    made = [task.used(again.place.folder.read_product(task.kind, key)) for key, task in again.tasks.items()]
    assert [len(used) for used in made if used is not None] == [
        len(task.registrations) for task in again.tasks.values() if task.registrations
    ]


def test_what_did_without_an_atlas_stays_where_that_fails_again(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=4, sides="L")
    methods: dict[str, Any] = {"mv": {}, "learning": {}}
    run = data.parent / "run"

    def written() -> dict[Path, int]:
        files = [path for path in run.rglob("*") if path.is_file() and path.parent.name != "registration"]
        return {path: path.stat().st_mtime_ns for path in files}

    (data.parent / "marker").touch()
    start(data, methods).do()
    before, again = written(), start(data, methods, retry_failed=True)
    assert again.kinds["registration"] == 3
    assert "fit" in again.kinds
    again.do()
    assert written() == before


def test_a_training_that_was_stopped_goes_on_with_the_same_atlases_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: Learning, training: Training, context: Context) -> None:
        (context.folder / "checkpoint").touch()
        raise RuntimeError("stopped")

    (data.parent / "marker").touch()
    ready = start(data, {"learning": {}})
    fits: list[Any] = ready.of_kind("fit")
    with monkeypatch.context() as patch:
        patch.setattr(Learning, "fit", stopped)
        ready.do("registration", "fit")
    (data.parent / "marker").unlink()
    start(data, {"learning": {}}, retry_failed=True).do()
    for fit in fits:
        goes_on = (ready.place.folder.model_folder(fit.key) / "checkpoint").exists()
        assert goes_on is ("p00L" not in [case.name for case, _ in fit.cases])
        assert not ready.place.folder.begun_path(fit.key).exists()


def test_registrations_are_made_again_for_what_needs_them_alone(data: Path) -> None:
    start(data).do()
    shutil.rmtree(data.parent / "cache")
    again = start(data)
    assert not again.left
    lost = next((data.parent / "run" / "segmentations").rglob("p00L.nii.gz"))
    lost.unlink()
    again = start(data)
    assert again.kinds == {"registration": 2, "segmentation": 1, "score": 1}
    again.do()
    assert lost.is_file()


@pytest.mark.parametrize(
    ("lost", "affected"),
    [("segmentations/learning/fold0/*", ("segmentation", "score")), ("fit/*/model", ("fit", "segmentation", "score"))],
)
def test_what_was_made_of_a_lost_file_is_made_again(lost: str, affected: tuple[str, ...], data: Path) -> None:
    start(data, {"learning": {}}).do()
    next((data.parent / "run").rglob(lost)).unlink()
    again = start(data, {"learning": {}})
    assert again.kinds == dict.fromkeys(affected, 1)
    for kind, later in pairwise(affected):
        again.do(kind)
        again = start(data, {"learning": {}})
        assert again.kinds == dict.fromkeys(affected[affected.index(later) :], 1)


def edit(path: Path) -> bytes:
    """Changes a label map or an image; returns what was there."""
    import nibabel as nib

    before = path.read_bytes()
    file: Any = nib.load(path)  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image(np.asarray(file.dataobj)[::-1].copy(), file.affine), path)  # type: ignore[attr-defined]
    return before


@pytest.mark.parametrize("file", ["labelsTr/p00L.nii.gz", "imagesTr/p00L_0000.nii.gz"])
def test_data_that_change_under_way_reach_no_store(file: str, data: Path) -> None:
    ready = start(data)
    before = edit(data / file)
    for task in ready.left.values():
        reads = (task.names.get("atlas"), task.names["case"] if file.startswith("images") else "")
        if task.kind == "registration" and "p00L" in reads:
            with pytest.raises(Trouble, match=f"{Path(file).name}: changed since this run was started"):
                ready.do_one(task)
            assert task.key not in ready.place.store
    (data / file).write_bytes(before)
    start(data).do()


def test_no_model_and_no_score_is_of_data_that_changed_under_way(data: Path) -> None:
    ready = start(data, {"learning": {}})
    ready.do("registration", "fit", "segmentation")
    scores = start(data, {"learning": {}})
    fit = next(task for task in ready.tasks.values() if task.kind == "fit")
    score = next(task for task in scores.left.values() if task.names["case"] == fit.cases[0][0].name)  # type: ignore[attr-defined]
    edit(data / "labelsTr" / f"{score.names['case']}.nii.gz")
    for task in (fit, score):
        with pytest.raises(Trouble, match="changed since this run was started"):
            scores.do_one(task)
    assert not ready.place.folder.model_folder(fit.key).exists()


METHOD = """
import numpy as np
from helper_of_going_on import VALUE

def slow(target, atlases):
    return np.full(atlases.labels.shape[1:], VALUE, np.int16)
"""


def test_code_that_changes_under_way_makes_nothing(data: Path) -> None:
    helper, method = data.parent / "helper_of_going_on.py", data.parent / "slow.py"
    helper.write_text("VALUE = 1\n")
    method.write_text(METHOD)
    ready = start(data, {"slow": {"use": f"{method}:slow"}})
    first, second, third = (task for task in ready.left.values() if task.kind == "segmentation")
    ready.do("registration")
    ready.do_one(first)
    method.write_text(f"{METHOD}\nX = 1\n")  # its text travels as it was
    ready.do_one(second)
    helper.write_text("VALUE = 22\n")
    with pytest.raises(Trouble, match="'slow': its code has changed since this run was started"):
        in_new_process(ready, third)
    helper.write_text("VALUE = \n")
    with pytest.raises(Trouble, match="'slow': its code has changed since this run was started"):
        in_new_process(ready, third)
    assert ready.place.folder.read_product("segmentation", third.key) is None


def in_new_process(ready: Start, task: Task) -> None:
    from dlfbench.engine import packing

    packing._changed.cache_clear()
    ready.do_one(task)


def test_code_of_a_script_is_what_it_imports_of_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper_of_script.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    main: dict[str, Any] = {"__name__": "__main__"}
    exec("import numpy as np, helper_of_script\ndef f(target, atlases):\n return helper_of_script.VALUE", main)
    code = code_of(method_from_function(main["f"])())
    assert "helper_of_script" in dict(code)
    assert "numpy" not in dict(code)
    (tmp_path / "helper_of_script.py").write_text("VALUE = 22\n")
    assert code_of(method_from_function(main["f"])()) != code
    del sys.modules["helper_of_script"]


def test_scripts_of_commands_are_code(tmp_path: Path) -> None:
    script = tmp_path / "tool.py"
    script.write_text("print()")
    method = make_method("c", "command", {"run": f"{sys.executable} {script} {{target}} {{output}}"})
    assert str(script) in dict(code_of(method.segmenter))


def test_a_full_disk_anywhere_is_no_result_of_a_method(data: Path) -> None:
    ready = start(data, {"learning": {"full": True}})
    ready.do("registration", "fit")
    task = next(task for task in ready.left.values() if task.kind == "segmentation")
    with pytest.raises(Trouble, match="/tmp/scratch: No space left on device; make room"):
        ready.do_one(task)


@pytest.mark.parametrize(("share", "shown"), [("nan", 0.0), ("-inf", 0.0), ("7", 1.0), ("0.25", 0.25)])
def test_what_is_done_of_a_task_is_a_share(share: str, shown: float, data: Path) -> None:
    ready = start(data, {"learning": {"share": share}})
    ready.do("registration")
    told: list[Any] = []
    carry_out(pack(ready.of_kind("fit")[0]), ready.place, lambda *words: told.append(words))
    assert told == [("started",), (shown, "learns")]


@pytest.mark.parametrize("kind", ["registration", "segmentation"])
def test_a_temporary_folder_that_fills_up_is_no_failure_of_what_wrote_there(
    kind: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, *span: int) -> None:
        if "/dlfbench-" in os.readlink(f"/proc/self/fd/{file}"):  # there is room again when the folder is gone
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ready = start(data, {"learning": {"loses": True}})
    if kind == "segmentation":
        ready.do("registration", "fit")
    else:
        (data.parent / "marker").touch()
    monkeypatch.setattr(os, "posix_fallocate", full)
    tasks = [task for task in ready.of_kind(kind) if task.names.get("atlas", "p00L") == "p00L"]
    with pytest.raises(Trouble, match="No space left on device; make room"):
        ready.do_one(tasks[0])


def test_no_room_for_temporary_files_is_no_failure_of_a_method(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    ready = start(data, {"learning": {"loses": True}})
    ready.do("registration", "fit")
    monkeypatch.setattr("tempfile.gettempdir", full)
    with pytest.raises(Trouble, match="No usable temporary directory found"):
        ready.do_one(ready.of_kind("segmentation")[0])


@pytest.mark.parametrize(("number", "is_of_disk"), [(errno.EDQUOT, True), (errno.EIO, True), (errno.ENOENT, False)])
def test_what_disks_do_is_told_from_other_errors(number: int, is_of_disk: bool) -> None:
    assert bool(disk_trouble(OSError(number, os.strerror(number)))) is is_of_disk
