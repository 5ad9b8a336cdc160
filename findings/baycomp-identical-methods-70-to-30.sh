#!/usr/bin/env bash
# baycomp: of two methods with the same scores, the one that is given first is the better one with probability 0.7
#
# Expected: with no case in which they differ, 0.5 and 0.5, or that nothing can be said.
# Happens: SignedRankTest counts how often a share of the pairs, which is one half in exact arithmetic, comes out above
# one half by rounding: in 0.3 of the draws it does. Who is given first has 0.69 to 0.71 by each of five random states.
# SignTest answers nan. With a region of practical equivalence, however small, the signed-rank test says "equal".
# Versions: baycomp 1.0.3, numpy 2.3.5, scipy 1.16.3
# Matters: comparisons by a metric that is at its limit, such as surface Dice of 1.0 in every case, or by one that two
# methods share because they made the same label maps: a table of probabilities prefers one of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "baycomp==1.0.3" "numpy==2.3.5" "scipy==1.16.3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'END'
from importlib.metadata import version

import numpy as np
from baycomp import SignedRankTest, SignTest

same = np.ones(20)
print("baycomp", version("baycomp"), "numpy", np.__version__, "20 cases, every score 1.0 by both methods")
first = []
for seed in range(5):
    found = SignedRankTest.probs(same, same.copy(), random_state=seed)
    first.append(found[0])
    print(f"signed-rank test, random state {seed}: first better {found[0]:.3f}, second better {found[1]:.3f}")
with_rope = SignedRankTest.probs(same, same.copy(), rope=1e-9, random_state=0)
sign = SignTest.probs(same, same.copy(), random_state=0)
print("with rope=1e-9:", [float(value) for value in with_rope], "sign test:", [float(value) for value in sign])
assert all(abs(share - 0.5) > 0.1 for share in first)
assert with_rope[1] == 1
assert np.isnan(sign).all()
END
