"""The retry budget."""

from __future__ import annotations

from holdfast.core.budget import Budget


def test_ten_retries_then_one_a_minute() -> None:
    budget = Budget()
    assert sum(budget.take("p", 0.0) for _ in range(20)) == 10
    assert not budget.take("p", 30.0)
    assert budget.take("p", 61.0)
    assert budget.take("other", 0.0)


def test_ten_good_calls_earn_one_retry() -> None:
    budget = Budget()
    while budget.take("p", 0.0):
        pass
    for _ in range(11):
        budget.credit("p", 0.0)
    assert budget.take("p", 0.0)
    assert not budget.take("p", 0.0)
