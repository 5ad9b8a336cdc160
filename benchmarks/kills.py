"""Kills a run again and again, at random moments, and compares what it ends with: `python -m benchmarks.kills 100`.

The study is the embedded phantom with tiny trainings. More than half of the kills wait for a fit to be under way. Each
round starts a run in a new folder, kills and restarts it until it ends or has had its share of kills, lets it end, and
compares `results.csv` with that of a run which nobody disturbed, byte for byte. Also checked: no process outlives a
kill, and no fit or segmentation failed.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dlfbench.records.folder import RunFolder

METHODS = ",".join(
    [
        "unet[steps=60,features=4,patch_vox=16]",
        "dlf[steps=60,voting_steps=20,rounds=20,features=4,patch_vox=16,atlases=2]",
        "nnunet[epochs=2,iterations=2,validation_iterations=1]",
        "corrected[host=mv,rounds=20]",
    ]
)
STUDY = ["--data", "phantom", "--hold-out", "0.3", "--train-cases", "4", "--test-cases", "1", "--methods", METHODS]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
KILLS_A_ROUND = 20
IN_FITS = 0.7


@dataclass
class Tally:
    """What was done and found.

    Attributes:
        kills: By signal.
        inside: Kills inside of a fit, by method.
        faults: What should not be, in words.
        rounds: Runs that were brought to their end.
    """

    kills: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rounds: int = 0


def main() -> None:
    """Kills so often as asked, prints a tally, and ends with exit code 1 where a result differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where runs and warps go; a temporary folder by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dlfbench-kills-") as scratch:
        tally = _campaign(asked.folder or Path(scratch), asked.kills, random.Random(asked.seed))
    print(
        f"{tally.kills.total()} kills ({dict(tally.kills)}) in {tally.rounds} runs, {tally.inside.total()} inside of a"
    )
    print(f"fit ({dict(tally.inside)}); runs with another outcome or a fault: {len(tally.faults)}")
    sys.exit(1 if tally.faults else 0)


def _campaign(folder: Path, kills: int, chance: random.Random) -> Tally:
    tally = Tally()
    folder.mkdir(parents=True, exist_ok=True)
    undisturbed = folder / "undisturbed"
    started = time.monotonic()
    assert _wait(_start(undisturbed, folder)) == 0, "the undisturbed run failed"
    length_s = time.monotonic() - started
    expected = RunFolder(undisturbed).results_csv.read_bytes()
    print(f"undisturbed: {length_s:.0f} s", flush=True)
    while tally.kills.total() < kills:
        out = folder / f"round{tally.rounds}"
        most = min(KILLS_A_ROUND, kills - tally.kills.total())
        while most and _killed(out, folder, chance, length_s, tally):
            most -= 1
        code = _wait(_start(out, folder))
        tally.rounds += 1
        made = RunFolder(out).results_csv
        found = made.read_bytes() if made.is_file() else b""
        if code or found != expected:
            tally.faults.append(f"{out.name}: exit code {code}, results {'equal' if found == expected else 'differ'}")
        print(
            f"{out.name}: {tally.kills.total()} kills, {tally.inside.total()} inside of fits; {tally.faults}",
            flush=True,
        )
    return tally


def _killed(out: Path, folder: Path, chance: random.Random, length_s: float, tally: Tally) -> bool:
    """Starts a run and kills it; False where it ended by itself before."""
    process = _start(out, folder)
    # soon after its start: what was done before is kept, so that a run is killed all along its way
    deadline = time.monotonic() + chance.uniform(0, length_s / 6)
    if chance.random() < IN_FITS:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and not _fits_under_way(out):
            time.sleep(0.02)
        deadline = time.monotonic() + chance.uniform(0, 5.0)
    while time.monotonic() < deadline and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)
    if process.status() == psutil.STATUS_ZOMBIE:
        return _wait(process) != 0
    inside, number = _fits_under_way(out), chance.choice(SIGNALS)
    offspring = process.children(recursive=True)
    process.send_signal(number)
    _wait(process)
    left = psutil.wait_procs(offspring, timeout=30)[1]
    if left:
        tally.faults.append(f"{out.name}: {len(left)} processes outlived the run")
    tally.kills[number.name] += 1
    tally.inside.update(inside[:1])
    return True


def _fits_under_way(out: Path) -> list[str]:
    """Methods whose fit has begun and left no product, told by what they write first."""
    run = RunFolder(out)
    folders = [path for path in run.model_folders() if not run.product_path("fit", path.name).exists()]
    return [_method_of(folder) for folder in folders]


def _method_of(folder: Path) -> str:
    if (folder / "raw").is_dir():
        return "nnunet"
    return "unet or dlf" if (folder / "about.json").is_file() else "corrected, or at its beginning"


def _start(out: Path, folder: Path) -> psutil.Process:
    """A run in a process of its own, forked: what it imports is there already."""
    import dlfbench.engine.work  # noqa: F401
    from dlfbench.cli import main

    sys.stdout.flush()
    number = os.fork()
    if number:
        return psutil.Process(number)
    code = 70
    try:
        os.setsid()
        printed = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(printed, stream)
        main(["run", *STUDY, "--out", str(out), "--cache", str(folder / "cache"), "--workers", "2"])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def _wait(process: psutil.Process) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


if __name__ == "__main__":
    main()
