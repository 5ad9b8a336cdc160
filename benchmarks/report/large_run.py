"""Time and size of the report of a large run, and how soon its page can be used.

    python benchmarks/report/large_run.py [METHODS CASES LABELS]

Makes up results of two test sets with two cases a person in a temporary folder, writes the report, and where Chromium
is on the path loads the page and filters its largest table.
"""

import html
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dlfbench.records.description import Description, write_description
from dlfbench.records.folder import RunFolder
from dlfbench.records.results import RESULT_COLUMNS, write_results
from dlfbench.report import write_report
from dlfbench.study.splits import Fold

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMED = """<script>
window.addEventListener("load", async () => {
  document.body.offsetHeight;
  const usable = performance.now();
  document.querySelector("#summary > details").open = true;
  await new Promise((done) => setTimeout(done));
  const opened = performance.now();
  const select = document.querySelectorAll("#table-summary select")[1];
  select.value = "";
  select.dispatchEvent(new Event("change"));
  document.body.offsetHeight;
  const text = JSON.stringify({ usable_ms: usable, filter_ms: performance.now() - opened });
  document.body.insertAdjacentHTML("beforeend", `<pre id=timed>${text}</pre>`);
});
</script></body>"""


def make_run(folder: Path, methods: int, cases: int, labels: int) -> None:
    """Writes results.parquet and study.toml: half of the cases in each test set."""
    rng = np.random.default_rng(0)
    shape = cases, methods, labels
    case, method, label = (axis.ravel() for axis in np.indices(shape))
    ease = rng.normal(0, 0.02, (cases // 2, 1, 1)).repeat(2, axis=0)
    quality = np.linspace(0.80, 0.90, methods)[None, :, None] - 0.002 * np.arange(labels)
    dice = np.clip(quality + ease + rng.normal(0, 0.01, shape), 0, 1).ravel()
    reference = rng.uniform(1200, 2000, (cases, 1, labels)).repeat(methods, axis=1).ravel()
    error = rng.normal(-0.02, 0.06, dice.size)
    test_set = np.where(case < cases // 2, "in-domain", "elsewhere")
    rows = pd.DataFrame(
        {
            "method": np.char.add("method", np.char.zfill(method.astype(str), 2)),
            "kind": "method",
            "fold": 0,
            "test_set": test_set,
            "case": np.char.add("case", np.char.zfill(case.astype(str), 4)),
            "person": np.char.add("person", np.char.zfill((case // 2).astype(str), 4)),
            "label": label + 1,
            "label_name": np.char.add("label ", (label + 1).astype(str)),
            "dice": dice,
            "hd95_mm": 8 * (1 - dice) + rng.uniform(0, 0.3, dice.size),
            "assd_mm": 3 * (1 - dice),
            "surface_dice": np.minimum(1, dice + 0.08),
            "volume_error": error,
            "reference_volume_mm3": reference,
            "prediction_volume_mm3": reference * (1 + error),
            "reference_empty": False,
            "prediction_empty": False,
            "status": "ok",
            "reason": "",
        },
        columns=list(RESULT_COLUMNS),
    )
    write_results(rows, folder)
    tests = {name: tuple(sorted(set(rows["case"][rows["test_set"] == name]))) for name in ("in-domain", "elsewhere")}
    write_description(RunFolder(folder), Description(folds=(Fold(0, ("atlas",), tests),)))


def look(page: Path) -> dict[str, float]:
    """Milliseconds until the page is laid out and answers, and until the largest table shows all labels."""
    copy = page.with_name("timed.html")
    copy.write_text(page.read_text().replace("</body>", TIMED))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    command = [str(BROWSER), *flags, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom"]
    dom = subprocess.run([*command, copy.as_uri()], capture_output=True, text=True, timeout=300, check=True).stdout
    found = re.search(r'<pre id="timed">(.*?)</pre>', dom, re.DOTALL)
    if found is None:
        raise RuntimeError("the page did not finish loading")
    return dict(json.loads(html.unescape(found[1])))


def main(methods: int = 50, cases: int = 1000, labels: int = 20) -> None:
    """Makes, writes, measures and prints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_run(folder, methods, cases, labels)
        wall, processor = time.perf_counter(), time.process_time()
        page = write_report(folder)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = sum(path.stat().st_size for path in page.parent.rglob("*") if path.is_file())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{methods} methods, {cases} cases, {labels} labels: {wall:.0f} s, {processor:.0f} s of processor time")
        print(f"page {page.stat().st_size / 1e6:.1f} MB, folder {size / 1e6:.1f} MB, peak memory {peak:.1f} GB")
        if BROWSER:
            print(", ".join(f"{what} {value:.0f}" for what, value in look(page).items()))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
