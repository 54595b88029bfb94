"""Streams are put in order, whatever an upstream sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import answers, streams
from tests.wire.heard import says

from holdfast.facts.outcomes import Failure, Usage
from holdfast.wire import mend
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Fault,
    Grammar,
    Of,
    Opened,
    Ping,
    RefusalDelta,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.mend import Mender, deltas_of, mended_answer
from holdfast.wire.speech import Answer, CannotCrossError, Choice, Refusal, Text, ToolCall


def mended(*deltas: Delta, mender: Mender | None = None) -> list[Delta]:
    mender = mender or Mender("m")
    found: list[Delta] = []
    for delta in deltas:
        found += mender.mend(delta)
        if found and isinstance(found[-1], Stopped | Fault):
            break
    return found


@given(streams())
def test_a_stream_in_order_stays_as_it_is_but_for_the_cuts_of_calls(deltas: list[Delta]) -> None:
    one, two = says(deltas), says(mended(*deltas))
    assert (one.blocks, one.stop, one.usage) == (two.blocks, two.stop, two.usage)
    assert one.calls == two.calls
    if not one.calls:
        assert mended(*deltas) == deltas


INDEXES = st.integers(0, 2)
WORDS = st.text(max_size=4)
ANY = st.one_of(
    st.builds(Opened, WORDS, WORDS),
    st.builds(TextDelta, INDEXES, WORDS),
    st.builds(RefusalDelta, INDEXES, WORDS),
    st.builds(ThinkingDelta, INDEXES, WORDS, WORDS, WORDS, WORDS),
    st.builds(ToolCallBegun, INDEXES, st.sampled_from(["", "a", "b"]), st.sampled_from(["", "f"])),
    st.builds(ToolArgsDelta, INDEXES, st.sampled_from(["", "{", "}", "{}", '"a":1', "x"])),
    st.builds(BlockEnded, INDEXES),
    st.just(UsageSeen(Usage(1, 2))),
    st.just(Ping()),
    st.builds(Stopped, st.sampled_from(["end", "length", "tool_calls", "refusal"])),
    st.just(Fault(Failure(kind="error_event", where="body"))),
)


@given(st.lists(ANY, max_size=25))
def test_whatever_comes_keeps_the_grammar(deltas: list[Delta]) -> None:
    grammar = Grammar()
    opened = False
    for delta in mended(*deltas, Stopped("length")):
        opened = opened or isinstance(delta, Opened)
        if isinstance(delta, Fault) and not opened:
            return
        assert grammar.check(delta) is None
    assert grammar.state == "stopped"


@given(st.lists(ANY, max_size=25))
def test_no_word_is_lost_or_said_twice(deltas: list[Delta]) -> None:
    spoken = [delta for delta in deltas if isinstance(delta, TextDelta | RefusalDelta)]
    found = mended(*spoken, Stopped())
    for kind in (TextDelta, RefusalDelta):
        assert "".join(d.text for d in found if isinstance(d, kind)) == "".join(
            d.text for d in spoken if isinstance(d, kind)
        )


def test_an_answer_that_was_not_opened_is_and_its_blocks_are_closed() -> None:
    assert mended(TextDelta(7, "a"), ThinkingDelta(7, "b"), Stopped()) == [
        Opened("", "m"),
        TextDelta(0, "a"),
        BlockEnded(0),
        ThinkingDelta(1, "b"),
        BlockEnded(1),
        Stopped(),
    ]


def test_a_call_leaves_whole_and_words_do_not_wait_for_it() -> None:
    mender = Mender("m")
    assert mended(Opened("i", "n"), ToolCallBegun(3, "c", "f"), mender=mender) == [Opened("i", "n")]
    assert mended(ToolArgsDelta(3, '{"a'), mender=mender) == []
    assert mender.held > 0
    assert mended(TextDelta(0, "x"), mender=mender) == [TextDelta(0, "x")]
    assert mended(ToolArgsDelta(3, '":1}'), BlockEnded(3), mender=mender) == [
        BlockEnded(0),
        ToolCallBegun(1, "c", "f"),
        ToolArgsDelta(1, '{"a":1}'),
        BlockEnded(1),
    ]
    assert mended(Stopped("end"), mender=mender) == [Stopped("tool_calls")]


def test_a_call_that_was_cut_off_by_a_limit_is_left_out() -> None:
    begun = (Opened(), ToolCallBegun(0, "c", "f"), ToolArgsDelta(0, '{"a'))
    assert mended(*begun, Stopped("length")) == [Opened("", "m"), Stopped("length")]


@pytest.mark.parametrize(
    ("deltas", "says_"),
    [
        ([ToolCallBegun(0, "c", "f"), ToolArgsDelta(0, "{oops"), Stopped()], "no JSON object"),
        ([ToolCallBegun(0, "c", "f"), ToolArgsDelta(0, "[1]"), BlockEnded(0)], "no JSON object"),
        ([ToolCallBegun(0, "c", ""), Stopped()], "without a name"),
        ([ToolArgsDelta(0, "{}")], "not begun"),
    ],
)
def test_a_call_that_is_none_is_a_fault(deltas: list[Delta], says_: str) -> None:
    last = mended(Opened(), *deltas)[-1]
    assert isinstance(last, Fault)
    assert last.failure.kind == "garbage"
    assert says_ in last.failure.text


def test_calls_beyond_all_bounds_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mend, "HELD_BYTES_MAX", 100)
    parts = [ToolArgsDelta(0, "x" * 60)] * 2
    assert isinstance(mended(ToolCallBegun(0, "c", "f"), *parts)[-1], Fault)


def test_a_call_without_an_id_gets_one_that_is_always_the_same() -> None:
    begun = (Opened("i", "n"), ToolCallBegun(0, "", "f"), ToolArgsDelta(0, "{}"), Stopped())
    one, two = mended(*begun), mended(*begun)
    assert one == two
    ((id_, _, _),) = says(one).calls
    assert id_.startswith("call_")
    assert says(mended(Opened("j", "n"), *begun[1:])).calls[0][0] != id_


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        # The name comes behind the id; the id behind the name; both with every piece.
        ([("c", ""), ("", "f"), '{"a":1}'], [("c", "f")]),
        ([("", "f"), ("c", ""), '{"a":1}'], [("c", "f")]),
        ([("c", "f"), '{"a"', ("c", "f"), ":1}", ("c", "f")], [("c", "f")]),
        ([("", "f"), '{"a"', ("", "f"), ":1}"], [("", "f")]),
        # The next one under the same index.
        ([("c", "f"), '{"a":1}', ("d", "f"), '{"a":1}'], [("c", "f"), ("d", "f")]),
        ([("", "f"), '{"a":1}', ("", "f"), '{"a":1}'], [("", "f"), ("", "f")]),
        ([("", "f"), '{"a":1}', ("", "g"), '{"a":1}'], [("", "f"), ("", "g")]),
    ],
)
def test_what_engines_say_of_a_call_is_put_together(
    deltas: list[tuple[str, str] | str], calls: list[tuple[str, str]]
) -> None:
    said = [ToolArgsDelta(0, d) if isinstance(d, str) else ToolCallBegun(0, *d) for d in deltas]
    found = says(mended(*said, Stopped())).calls
    assert [name for _, name, _ in found] == [name for _, name in calls]
    assert [id_ for id_, _, _ in found if not id_.startswith("call_")] == [i for i, _ in calls if i]
    assert {arguments for _, _, arguments in found} == {'{"a":1}'}
    assert len({id_ for id_, _, _ in found}) == len(found)


def test_an_end_behind_a_refusal_is_one() -> None:
    """Chat ends a refusal as it ends any other answer."""
    assert mended(RefusalDelta(0, "No."), Stopped())[-1] == Stopped("refusal")
    assert mended(RefusalDelta(0, ""), Stopped())[-1] == Stopped("end")
    assert mended(RefusalDelta(0, "No"), Stopped("length"))[-1] == Stopped("length")
    assert mended_answer(answer(Refusal("No."))).choices[0].stop == "refusal"


def test_a_stop_for_calls_without_a_call_is_an_end() -> None:
    assert mended(Opened("", "m"), TextDelta(0, "x"), Stopped("tool_calls"))[-1] == Stopped("end")


def test_tools_are_called_by_the_clients_own_names() -> None:
    mender = Mender("m", str.upper)
    assert says(mended(ToolCallBegun(0, "c", "f"), Stopped(), mender=mender)).calls[0][1] == "F"


# ---------------------------------------------------------------- whole answers


@given(answers())
def test_a_whole_answer_as_a_stream_keeps_the_grammar(answer: Answer) -> None:
    grammar = Grammar()
    assert not any(map(grammar.check, deltas_of(answer)))
    assert grammar.state == "stopped"
    assert mended_answer(answer) == answer
    assert says(deltas_of(answer)).calls == [
        (part.id, part.name, part.arguments)
        for part in answer.choices[0].parts
        if isinstance(part, ToolCall)
    ]


def answer(*parts: object, stop: str = "end") -> Answer:
    return Answer(id="i", model="m", choices=(Choice(parts, stop),))


def test_a_whole_answer_is_put_in_order() -> None:
    (choice,) = mended_answer(answer(Text("a"), ToolCall("", "f"))).choices
    assert choice.stop == "tool_calls"
    assert isinstance(choice.parts[1], ToolCall)
    assert choice.parts[1].id.startswith("call_")
    assert mended_answer(answer(Text("a"), stop="tool_calls")).choices[0].stop == "end"
    cut = answer(Text("a"), ToolCall("c", "f", '{"a'), stop="length")
    assert mended_answer(cut).choices[0].parts == (Text("a"),)
    with pytest.raises(CannotCrossError, match="no JSON"):
        mended_answer(answer(ToolCall("c", "f", '{"a')))


def test_several_choices_are_a_stream_within_the_first_one_s() -> None:
    choices = (Choice((Text("a"),)), Choice((Text("b"),), "length"))
    found = list(deltas_of(Answer(id="x", model="m", choices=choices)))
    others = [delta.delta for delta in found if isinstance(delta, Of)]
    assert others == [TextDelta(0, "b"), BlockEnded(0), Stopped("length")]
    own = [delta for delta in found if not isinstance(delta, Of)]
    assert (own[0], own[1], own[-1]) == (Opened("x", "m"), TextDelta(0, "a"), Stopped())


def test_calls_of_several_choices_are_told_apart() -> None:
    """The same call of two answers has two ids."""
    first = Mender("m")
    first.mend(Opened("x", "m"))
    call = [ToolCallBegun(0, "", "f"), ToolArgsDelta(0, "{}"), BlockEnded(0)]
    menders = (first, first.another(1), first.another(2))
    said = [delta for one in menders for part in call for delta in one.mend(part)]
    ids = [delta.id for delta in said if isinstance(delta, ToolCallBegun)]
    assert len(set(ids)) == 3
