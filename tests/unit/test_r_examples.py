"""Our tests on the examples of R's documentation, whose printed output is quoted."""

import numpy as np
import pytest

from dlfbench.report.basis.statistics import paired_t, paired_tests, welch
from dlfbench.report.basis.subgroups import welch_anova

# ?wilcox.test: Hamilton depression scale factor IV of 9 patients, before and after (Hollander and Wolfe 1973, 29f.)
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])

# ?sleep: extra hours of sleep of 10 people under two drugs (Student 1908)
FIRST = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SECOND = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])

# ?InsectSprays: insects counted after each of six sprays (Beall 1942)
SPRAYS = (
    [10, 7, 20, 14, 14, 12, 10, 23, 17, 20, 14, 13],
    [11, 17, 21, 11, 16, 14, 17, 17, 19, 21, 7, 13],
    [0, 1, 7, 2, 3, 1, 2, 1, 3, 0, 1, 4],
    [3, 5, 12, 6, 4, 3, 5, 5, 5, 5, 2, 4],
    [3, 5, 3, 5, 3, 6, 1, 1, 3, 2, 6, 4],
    [11, 9, 15, 22, 15, 16, 13, 10, 26, 26, 24, 13],
)


def test_wilcoxon() -> None:
    """wilcox.test(x, y, paired = TRUE, alternative = "greater"): V = 40, p-value = 0.01953."""
    found = paired_tests((BEFORE - AFTER)[:, None])
    assert found.p[0] / 2 == pytest.approx(0.01953, abs=5e-6)
    assert found.rank_biserial[0] == pytest.approx((40 - 5) / 45)


def test_welch() -> None:
    """t.test(extra ~ group): t = -1.8608, df = 17.776, p-value = 0.07939, -3.3654832 to 0.2054832."""
    p, low, high = welch(FIRST[:, None], SECOND[:, None])
    assert p[0] == pytest.approx(0.07939, abs=5e-6)
    assert (low[0], high[0]) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


def test_paired() -> None:
    """t.test(extra ~ group, paired = TRUE): t = -4.0621, df = 9, p-value = 0.002833, -2.4598858 to -0.7001142."""
    p, low, high = paired_t(FIRST[:, None], SECOND[:, None])
    assert p[0] == pytest.approx(0.002833, abs=5e-7)
    assert (low[0], high[0]) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_welchs_analysis_of_variance() -> None:
    """oneway.test(count ~ spray): F = 36.065, num df = 5, denom df = 30.043, p-value = 7.999e-12."""
    assert welch_anova([np.array(spray, float) for spray in SPRAYS]) == pytest.approx(7.999e-12, rel=5e-4)
