"""Runs through the engine: same results whatever happens on the way; failures are rows; nothing is redone."""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from builders import write_dataset
from dlfbench import plugins
from dlfbench.engine.execute import Watcher
from dlfbench.engine.failures import Failures
from dlfbench.engine.work import Options, Work, prepare, run_study
from dlfbench.errors import InputError
from dlfbench.records.results import CANDIDATES, CURVE, REGISTRATIONS, read_results
from dlfbench.registration.store import WarpStore
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.study.tables import make_study
from dlfbench.volumes import AtlasSet, Segmentation, Target

SILENT = Watcher(lambda task, outcome: None, lambda event: None)


@dataclass(frozen=True)
class Misbehaving(Segmenter):
    """Fails in the way asked for on targets of one side, else votes by the first atlas."""

    how: str = "raise"

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        labels = np.maximum(atlases.labels[0], 0)  # beyond the atlas's field of view: background
        if target.columns["side"] == "R":
            return self.fail(labels, atlases)
        return Segmentation(labels)

    def fail(self, labels: np.ndarray, atlases: AtlasSet) -> Segmentation:
        if self.how == "raise":
            raise ValueError("no idea")
        if self.how == "hang":
            time.sleep(600)
        if self.how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "fork":
            multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True).start()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            sys.exit(3)
        if self.how == "grid":
            return Segmentation(labels[1:])
        if self.how == "labels":
            return Segmentation(labels + 10)
        if self.how == "write":
            atlases.labels[0] = 0
        return Segmentation(labels, np.full((3, *labels.shape), np.nan, np.float32))


@dataclass(frozen=True)
class Learning(Segmenter):
    """Learns the mean volume of the training references; says what it saw."""

    needs_atlases: ClassVar[bool] = False
    needs_training: ClassVar[bool] = True
    trains_on_atlases: ClassVar[bool] = True
    fail: bool = False

    def fit(self, training: Training, context: Context) -> None:
        if self.fail:
            raise RuntimeError("cannot learn")
        context.progress(0.5, "half way")
        seen = {
            case.name: [case.read_atlases().names, int((case.read_reference() > 0).sum())] for case in training.cases
        }
        (context.folder / "seen.json").write_text(json.dumps([seen, context.seed]))

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        assert len(atlases) == 0
        assert (context.folder / "seen.json").is_file()
        return Segmentation((target.images[0] > 30).astype(np.int16))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    known = plugins.load

    def load(group: str, name: str) -> Any:
        return {"bad": Misbehaving, "learning": Learning}.get(name) or known(group, name)

    monkeypatch.setattr(plugins, "load", load)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])]))


def work(data: Path, out: Path, cache: Path, methods: Mapping[str, Any], **tables: Any) -> Work:
    study = make_study({"data": {"dataset": str(data)}, "protocol": {"folds": 2}, "methods": dict(methods), **tables})
    return prepare(study, Options(out=out, cache=cache, workers=2))


def run(data: Path, out: Path, cache: Path, methods: Mapping[str, Any], **tables: Any) -> pd.DataFrame:
    run_study(work(data, out, cache, methods, **tables), SILENT)
    return read_results(out)


def left(data: Path, out: Path, cache: Path, methods: Mapping[str, Any], **tables: Any) -> dict[str, int]:
    kinds = [task.kind for task in work(data, out, cache, methods, **tables).todo.values()]
    return {kind: kinds.count(kind) for kind in kinds}


def test_a_run_has_a_row_per_method_case_and_label_and_bounds(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    results = run(data, tmp_path, shared_cache, {"mv": {}})
    assert len(results[results.method == "mv"]) == 8 * 2
    assert set(results[results.kind == "bound"].method) >= {"candidate", "oracle10", "oracle_one"}
    oracle, mv = (results[results.method == m].dice.mean() for m in ("oracle10", "mv"))
    assert oracle > mv > 0.6
    single = CANDIDATES.read(tmp_path)
    assert set(single["atlas"]) == set(results["case"])  # every case is another's atlas, and kept by name
    assert single["dice"].mean() == pytest.approx(results[results.method == "candidate"].dice.mean())
    assert set(results.status) == {"ok"}


def test_the_same_study_again_finds_everything_done(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    run(data, tmp_path, shared_cache, {"mv": {}})
    assert left(data, tmp_path, shared_cache, {"mv": {}}) == {}


def test_another_run_and_more_methods_make_no_registration_again(
    data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    run(data, tmp_path / "one", shared_cache, {"mv": {}})
    assert "registration" not in left(data, tmp_path / "two", shared_cache, {"svwv": {}})
    run(data, tmp_path / "two", shared_cache, {"mv": {}})
    found = REGISTRATIONS.read(tmp_path / "two")
    assert not found["made_in_this_run"].any()
    assert found["wall_s"].gt(0).all()  # of whoever made it
    assert left(data, tmp_path / "one", shared_cache, {"mv": {}, "v": {"use": "svwv"}}) == {
        "segmentation": 8,
        "score": 8,
    }


def test_methods_of_earlier_runs_in_the_folder_are_kept(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    run(data, tmp_path, shared_cache, {"mv": {}})
    results = run(data, tmp_path, shared_cache, {"again": {"use": "mv"}})
    assert {"mv", "again"} <= set(results.method)


def test_the_run_folder_can_move(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    run(data, tmp_path / "here", shared_cache, {"mv": {}})
    (tmp_path / "here").rename(tmp_path / "there")
    assert left(data, tmp_path / "there", shared_cache, {"mv": {}}) == {}


def test_methods_of_the_image_alone_need_no_registration(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    def kinds(methods: dict[str, dict[str, Any]]) -> set[str]:
        return {task.kind for task in work(data, tmp_path, shared_cache, methods).plan.tasks.values()}

    assert kinds({"unet": {}}) == {"fit", "segmentation", "score"}
    assert kinds({"unet": {}, "mv": {}}) == {"registration", "fit", "bounds", "segmentation", "score"}


def test_a_folder_of_another_study_is_refused_with_the_difference(
    data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    run(data, tmp_path, shared_cache, {"mv": {}})
    with pytest.raises(InputError, match="another study .*seed: 0 there, 5 now"):
        work(data, tmp_path, shared_cache, {"mv": {}}, seed=5)


def test_settings_that_are_not_given_do_not_tell_runs_apart(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    run(data, tmp_path, shared_cache, {"mv": {}})
    assert None not in json.loads((tmp_path / "identity.json").read_text())["protocol"].values()
    assert left(data, tmp_path, shared_cache, {"mv": {}}) == {}


def test_a_method_of_the_same_name_with_other_parameters_is_refused(
    data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    run(data, tmp_path, shared_cache, {"m": {"use": "mv"}})
    with pytest.raises(InputError, match="method 'm' was run with other parameters"):
        work(data, tmp_path, shared_cache, {"m": {"use": "jlf"}})


def test_a_folder_that_is_no_run_is_left_alone(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not a run folder"):
        work(data, tmp_path, shared_cache, {"mv": {}})


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "ValueError: no idea"),
        ("hang", "time limit of 1.5 s"),
        ("crash", "process died (SIGSEGV)"),
        ("fork", "process died (killed, perhaps out of memory)"),
        ("exit", "SystemExit: 3"),
        ("grid", "label map has shape (15, 18, 14), the target (16, 18, 14)"),
        ("labels", "outside the declared [0, 1, 2]"),
        ("nan", "posterior has 12096 values that are not finite"),
        ("write", "read-only"),
    ],
)
def test_failures_are_rows_with_the_reason_and_others_go_on(
    how: str, reason: str, data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    limit = {"time_limit_s": 1.5} if how == "hang" else {}
    protocol = {"train": "side=L|R", "hold_out": 0.25}
    results = run(data, tmp_path, shared_cache, {"bad": {"how": how}, "mv": {}}, budget=limit, protocol=protocol)
    failed = results[results.status == "failed"]
    assert set(failed.method) == {"bad"}
    assert failed.reason.str.contains(reason, regex=False).all()
    assert len(failed) == 2
    assert (results[results.method == "mv"].status == "ok").all()
    assert (results[(results.method == "bad") & results.case.str.endswith("L")].status == "ok").all()


def test_failed_tasks_run_again_only_when_asked(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    run(data, tmp_path, shared_cache, {"bad": {}})
    assert left(data, tmp_path, shared_cache, {"bad": {}}) == {}
    study = make_study({"data": {"dataset": str(data)}, "protocol": {"folds": 2}, "methods": {"bad": {}}})
    again = prepare(study, Options(out=tmp_path, cache=shared_cache, retry_failed=True))
    assert {task.kind for task in again.todo.values()} == {"segmentation", "score"}


def test_training_sees_the_training_cases_only_and_leaves_the_person_out(
    data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    results = run(data, tmp_path, shared_cache, {"learning": {}})
    folds = json.loads((tmp_path / "splits.json").read_text())["folds"]
    seen = [json.loads(path.read_text()) for path in tmp_path.glob("tasks/fit/*/seen.json")]
    assert sorted(sorted(cases) for cases, _ in seen) == sorted(sorted(fold["train"]) for fold in folds)
    for cases, _ in seen:
        for name, (atlases, voxels) in cases.items():
            assert voxels > 0
            assert set(atlases) == {other for other in cases if other[:3] != name[:3]}
    assert seen[0][1] != seen[1][1]  # each fold has a seed of its own
    assert (results[results.method == "learning"].status == "ok").all()


def test_a_failed_fit_fails_its_cases_with_its_reason(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    failures, outcomes = Failures(), []
    ready = work(data, tmp_path, shared_cache, {"learning": {"fail": True}, "mv": {}})
    run_study(ready, Watcher(lambda task, outcome: outcomes.append(outcome), lambda event: None))
    assert [outcome.kind for outcome in outcomes if failures.is_new(outcome)] == ["fit", "fit"]
    results = read_results(tmp_path)
    failed = results[results.method == "learning"]
    assert failed.reason.str.contains("fit failed: RuntimeError: cannot learn").all()


def test_no_reference_of_a_test_case_is_in_a_segmentation_task(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    tasks = work(data, tmp_path, shared_cache, {"mv": {}}).plan.of_kind("segmentation")
    assert all(task.target.reference is None for task in tasks)  # type: ignore[attr-defined]
    assert all(atlas.target.reference is None for task in tasks for atlas in task.atlases)  # type: ignore[attr-defined]


def test_a_damaged_store_entry_is_made_again(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    first = run(data, tmp_path / "one", shared_cache, {"mv": {}})
    store = WarpStore(shared_cache)
    task = work(data, tmp_path / "two", shared_cache, {"mv": {}}).plan.of_kind("registration")[0]
    path = next(store.root.glob(f"*/{task.key}*"))
    path.write_bytes(path.read_bytes()[:100])
    second = run(data, tmp_path / "two", shared_cache, {"mv": {}})
    pd.testing.assert_frame_equal(first, second)
    assert store.get(task.key) is not None


def test_a_damaged_product_is_made_again(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    run(data, tmp_path, shared_cache, {"mv": {}})
    next(tmp_path.glob("segmentations/mv/fold0/*")).unlink()
    assert left(data, tmp_path, shared_cache, {"mv": {}}) == {"segmentation": 1, "score": 1}
    for product in tmp_path.glob("tasks/score/*.json"):
        product.write_text(product.read_text()[:40])
    assert left(data, tmp_path, shared_cache, {"mv": {}}) == {"segmentation": 1, "score": 8}


def test_two_runs_in_one_folder_are_refused(
    data: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    ready = work(data, tmp_path / "run", shared_cache, {"mv": {}})
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(InputError, match="another dlfbench is running"):
        run_study(ready, SILENT)


def test_equal_studies_give_equal_bytes_with_one_worker_or_two(tmp_path: Path) -> None:
    few, texts = write_dataset(tmp_path / "few", people=2), []
    for workers in (1, 2):
        study = make_study(
            {"data": {"dataset": str(few)}, "protocol": {"hold_out": 0.5}, "methods": {"mv": {}, "jlf": {}}}
        )
        out = tmp_path / str(workers)
        run_study(prepare(study, Options(out=out, cache=tmp_path / f"cache{workers}", workers=workers)), SILENT)
        texts.append((out / "results.csv").read_bytes())
    assert texts[0] == texts[1]


def test_methods_that_learn_are_trained_again_and_the_first_training_stays(
    data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    methods: dict[str, dict[str, Any]] = {"learning": {}, "mv": {}}
    once = work(data, tmp_path, shared_cache, methods).plan
    run(data, tmp_path, shared_cache, methods)
    twice = work(data, tmp_path, shared_cache, methods, protocol={"folds": 2, "seeds": 2})
    assert set(once.tasks) < set(twice.plan.tasks)
    assert {task.names["method"] for task in twice.todo.values()} == {"learning"}  # in the same folder
    assert [task.kind for task in twice.todo.values()].count("fit") == 2  # one a fold
    results = run(data, tmp_path, shared_cache, methods, protocol={"folds": 2, "seeds": 2})
    assert results[results.kind == "method"].groupby("method").fold.nunique().to_dict() == {"learning": 4, "mv": 2}
    seeds = [json.loads(path.read_text())[1] for path in tmp_path.glob("tasks/fit/*/seen.json")]
    assert len(set(seeds)) == 4


def test_fewer_cases_are_apart_from_the_results(data: Path, tmp_path: Path, shared_cache: Path) -> None:
    methods: dict[str, dict[str, Any]] = {"mv": {}, "learning": {}}
    protocol = {"folds": 2, "train_cases": [3, 4], "draws": 2}
    results = run(data, tmp_path, shared_cache, methods, protocol=protocol)
    curve = CURVE.read(tmp_path)
    assert set(results.fold) == {0, 1}
    assert len(set(curve.fold)) == 4
    assert set(curve.fold).isdisjoint(results.fold)
    assert sorted(curve.groupby("fold").split.first()) == [0, 0, 1, 1]
    assert set(curve.train_cases) == {3}
    assert set(curve.status) == {"ok"}
    assert left(data, tmp_path, shared_cache, methods, protocol=protocol) == {}
    assert not work(data, tmp_path, shared_cache, methods, protocol={"folds": 2, "train_cases": 4}).todo
