"""The published history: the curve gives back the published figures."""

from __future__ import annotations

from itertools import pairwise
from math import log

import pytest

from holdfast.core.prior import POOLED, STILL_OPEN, TAIL, USEFUL_MIN

# From the rows themselves: elapsed, those still open of 688, quantiles of the minutes to go, and
# the shares that were over within 1 h and 4 h more.
PUBLISHED = (
    (0, 688, (8, 14, 28, 72, 170, 327, 683), 0.44, 0.83),
    (5, 666, (7, 11, 26, 70, 171, 329, 694), 0.45, 0.83),
    (15, 604, (4, 8, 24, 69, 176, 355, 788), 0.46, 0.82),
    (30, 502, (5, 10, 32, 78, 197, 396, 1082), 0.43, 0.80),
    (60, 383, (6, 12, 29, 95, 217, 514, 1187), 0.41, 0.78),
    (120, 227, (6, 20, 52, 131, 259, 1070, 1541), 0.29, 0.73),
    (240, 117, (12, 24, 45, 133, 613, 1421, 1980), 0.29, 0.63),
    (480, 43, (49, 94, 244, 725, 1197, 1851, 2550), 0.09, 0.23),
)
LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@pytest.mark.parametrize(("elapsed", "open_then", "to_go", "hour", "four"), PUBLISHED)
def test_the_curve_gives_back_what_was_read_off_the_rows(
    elapsed: int, open_then: int, to_go: tuple[int, ...], hour: float, four: float
) -> None:
    assert POOLED.back_within(elapsed, 60.0) == pytest.approx(hour, abs=0.011)
    assert POOLED.back_within(elapsed, 240.0) == pytest.approx(four, abs=0.011)
    # Within half a percent and what three incidents would make; two minutes of rounding.
    slack = 0.005 + 3.0 / open_then
    for p, exact in zip(LEVELS, to_go, strict=True):
        low, high = POOLED.to_go(elapsed, max(0.0, p - slack), min(0.999, p + slack))
        assert low - 2.0 <= exact <= high + 2.0


def test_the_table_falls_and_the_index_of_the_tail_is_hill_s_estimate() -> None:
    shares = [share for _, share in STILL_OPEN]
    assert shares == sorted(shares, reverse=True)
    beyond = [(t, share) for t, share in STILL_OPEN if t >= USEFUL_MIN]
    # The mean of ln(t / 480) over those beyond 480 min is the area under S(t) / S(480) over ln t.
    area = sum(
        (log(later) - log(sooner)) * (high + low) / 2
        for (sooner, high), (later, low) in pairwise(beyond)
    )
    assert beyond[0][1] / area == pytest.approx(TAIL, abs=0.05)


def test_what_has_lasted_goes_on_longer() -> None:
    medians = [POOLED.to_go(elapsed, 0.5)[0] for elapsed in (15.0, 60.0, 120.0, 480.0, 1e4, 1e5)]
    assert medians == sorted(medians)
