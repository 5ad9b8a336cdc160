#!/usr/bin/env bash
# dask-jobqueue: processes that do not divide the cores leave cores idle, and memory is asked in another unit than it
# is given
#
# Expected: a job of 8 cores and 5 processes uses 8 threads; memory='10GB' is asked from Slurm and shared out as 10
# GB.
# Happens: --cpus-per-task=8 with 5 workers of one thread: 3 cores are paid for and idle. --mem=10G (Slurm's G is
# 2^30, 7% more than 10 GB), while the workers' limits sum up to 10 GB; without processes, 4 cores are 4 one-thread
# workers with a quarter of the memory each.
# Versions: dask-jobqueue 0.9.0, dask 2026.8.0, distributed 2026.8.0
# Matters: each worker's limit is its share, however much room the job has, and a task that would use threads gets
# one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "dask-jobqueue==0.9.0" "dask==2026.8.0" "distributed==2026.8.0"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import re
import warnings
warnings.simplefilter("ignore")
from importlib.metadata import version
from dask_jobqueue import SLURMCluster

def script(**settings):
    cluster = SLURMCluster(scheduler_options={"dashboard_address": ":0"}, **settings)
    text = cluster.job_script()
    cluster.close()
    one = lambda pattern: re.search(pattern, text)[1]
    return {
        "cpus": int(one(r"--cpus-per-task=(\d+)")),
        "mem": one(r"--mem=(\S+)"),
        "workers": int(one(r"--nworkers (\d+)")),
        "threads": int(one(r"--nthreads (\d+)")),
        "limit": one(r"--memory-limit (\S+)"),
    }

uneven, plain = script(cores=8, processes=5, memory="10GB"), script(cores=4, memory="10GB")
print("dask-jobqueue", version("dask-jobqueue"))
print("8 cores, 5 processes, 10GB:", uneven)
print("4 cores, 10GB:", plain)
assert uneven["cpus"] - uneven["workers"] * uneven["threads"] == 3 and uneven["mem"] == "10G"
assert (plain["workers"], plain["threads"], plain["limit"]) == (4, 1, "2.33GiB")
END
