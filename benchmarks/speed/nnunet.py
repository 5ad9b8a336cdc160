"""Seconds of one training step of nnU-Net: its own trainer in single precision against `dlfbench`'s on the same data.

Run as `python -m benchmarks.speed.nnunet --data FOLDER [--train-on group=a] [--train-cases 20] [--threads 2]`. Both
trainers hold the same plan and take turns, so that both meet the same load of the machine.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.measure import machine


def main() -> None:
    """Prints the median wall and processor time of a step of each trainer."""
    options = _parse()
    os.environ.update({name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")})
    with tempfile.TemporaryDirectory() as scratch:
        spent = _measure(options, Path(scratch))
    print(json.dumps({**machine(), "threads": options.threads, "steps": options.steps}, indent=1))
    for name, times in spent.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name}: median of {len(times)} steps: {wall:.2f} s, {cpu:.2f} CPU s")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="name or folder of a dataset")
    parser.add_argument("--train-on", help="as of `dlfbench run`")
    parser.add_argument("--train-cases", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    return parser.parse_args()


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, list[tuple[float, float]]]:
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from dlfbench.networks.surroundings import environment
    from dlfbench.segmenters.interface import Context
    from dlfbench_baselines.nnunet import fitting, training
    from dlfbench_baselines.nnunet.dataset import Workplace
    from dlfbench_baselines.nnunet.segmenter import NnUNet
    from dlfbench_baselines.nnunet.surroundings import surroundings

    context, plan, workplace = Context(folder, threads=options.threads), NnUNet()._plan(), Workplace(folder)
    with surroundings(workplace.variables, context):
        workplace.clear()
        fitting._prepare(_training_set(options), workplace, plan, context)
        with environment({"nnUNet_n_proc_DA": "0"}):
            plans = json.loads((workplace.preprocessed / "nnUNetPlans.json").read_text())
            header = json.loads((workplace.preprocessed / "dataset.json").read_text())
            own = {**plans, "continue_training": False}
            trainers = {
                "dlfbench": training.make_trainer(plans, header, "all", plan, context),
                "nnU-Net": nnUNetTrainer(own, plan.configuration, "all", header, torch.device("cpu")),
            }
            return _take_turns(trainers, options.steps)


def _training_set(options: argparse.Namespace) -> Any:
    from dlfbench.datasets.known import open_dataset
    from dlfbench.engine.tasks.methods import FoldCase
    from dlfbench.engine.tasks.task import Place
    from dlfbench.segmenters.interface import Training
    from dlfbench.study.splits import make_folds
    from dlfbench.study.tables import make_study

    protocol = {"train": options.train_on, "hold_out": 0.2, "train_cases": options.train_cases}
    study = make_study({"protocol": {name: value for name, value in protocol.items() if value is not None}})
    dataset = open_dataset(options.data)
    names = sorted(make_folds(dataset.cases, study.protocol, study.seed)[0].train)
    place = Place(Path(), Path())
    cases = [FoldCase(dataset.case(name), (), place, dataset.labels) for name in names]
    return Training(cases, dataset.labels.values, dataset.modalities, dataset.labels.names)


def _take_turns(trainers: dict[str, Any], steps: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor time of each step, loading included; the first step of each is not counted."""
    for trainer in trainers.values():
        trainer.on_train_start()
        trainer.network.train()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in trainers}
    for step in range(steps + 1):
        for name, trainer in list(trainers.items())[:: -1 if step % 2 else 1]:
            started, used = time.perf_counter(), time.process_time()
            trainer.train_step(next(trainer.dataloader_train))
            if step:
                spent[name].append((time.perf_counter() - started, time.process_time() - used))
    return spent


if __name__ == "__main__":
    main()
