"""What the terminal tells: each thing once, and when it is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.app.news import News


def test_an_alarm_that_counts_on_is_told_once_and_is_over_once() -> None:
    news = News()
    assert news.read((), ["7 records wait"]) == ["alarm: 7 records wait"]
    assert news.read((), ["19 records wait"]) == []
    assert news.read((), ["19 records wait", "another"]) == ["alarm: another"]
    assert news.read((), ["another"]) == ["over: 19 records wait"]
    assert news.read((), []) == ["over: another"]


@given(st.lists(st.sets(st.sampled_from("abc")), max_size=10))
def test_what_was_told_to_begin_and_not_to_be_over_is_what_is_there(looks: list[set[str]]) -> None:
    news, open_now = News(), set()
    for alarms in looks:
        for sentence in news.read((), alarms):
            how, _, alarm = sentence.partition(": ")
            assert (alarm in open_now) == (how == "over")
            open_now ^= {alarm}
        assert open_now == alarms
