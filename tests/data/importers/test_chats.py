"""Lines of chats back as rows, and the words in which the spec asks the model that was tuned on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from decider import prompt
from decider.data.files import FileRow
from decider.data.importers.chats import Chats, Wording
from decider.data.rows import Rejected, check, to_row
from decider.data.shapes import CHAT, SHAPES, Shape
from decider.decision import Example, Request
from decider.errors import DataError
from decider.spec import Columns
from decider.task import Task
from sources import task

ONE = {"team": {"options": ["billing", "login"]}}
TASK = task()
OUTPUT = {"routing": {"team": "login"}, "vip": None}
ANSWER = json.dumps(OUTPUT)


def line(*said: Any, system: str | None = "You file tickets.", **more: Any) -> dict[str, Any]:
    """A line of alternating texts of user and assistant; one that is an object is a message itself."""
    messages = [{"role": "system", "content": system}] if system is not None else []
    for n, text in enumerate(said):
        role = "assistant" if n % 2 else "user"
        messages.append(text if isinstance(text, dict) else {"role": role, "content": text})
    return {"messages": messages, **more}


def body(text: str) -> dict[str, Any]:
    return {"body": text, "lang": None}


def read(*lines: dict[str, Any], task: Task[Any] = TASK, shape: Shape = CHAT) -> tuple[list[dict[str, Any]], Wording]:
    chats = Chats(task, task.spec.data.columns)
    rows = [chats.checked(FileRow(n, n, one), shape) for n, one in enumerate(lines, 1)]
    assert chats.wording is not None
    return [to_row(row) for row in rows if isinstance(row, Example)], chats.wording


def test_the_last_question_and_its_answer_are_the_row() -> None:
    asked = json.dumps({"body": "no code"})
    (row,), said = read(line("first", "answer", asked, ANSWER, id="T1", split="test", group="", by=True, other=1))
    assert row == {"input": body("no code"), "output": OUTPUT, "id": "T1", "split": "test"}
    assert (said.user, said.answer, said.system) == ("json", "json", "You file tickets.")
    assert said.notes[-1] == "1 of 1 lines have earlier turns, which are left out of the row"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("keys", "value"),
    [({}, {"body": "zahlt <s> doppelt", "lang": None}), ({"input": None}, 'say "it"\nthen'), ({"input": None}, "{}")],
)
def test_every_shape_gives_the_rows_back_that_it_was_written_from(shape: Shape, keys: Any, value: Any) -> None:
    one = task(**keys)
    messages = prompt.render(one, Request(input=value, fields=one.fields), "finetuned")
    (row,), said = read(shape.write(messages, prompt.answer(one, OUTPUT)), task=one, shape=shape)
    found = check(row, one, 1)
    assert isinstance(found, Example)
    assert (found.input, found.output) == (value, OUTPUT)
    assert said.known
    assert said.notes == ()


MESSAGES = {"engine": "chat", "model": "tuned"}


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ({"user": "text", "answer": "json"}, None),
        ({"user": "json", "answer": "tool"}, None),
        ({"user": "text", "answer": {"label": "team"}}, ONE),
        ({"user": "text", "answer": {"label": "vip"}}, {"vip": {"type": "bool", "optional": True}}),
    ],
)
def test_the_words_that_are_found_are_those_that_the_spec_would_ask_in(messages: Any, fields: Any) -> None:
    keys = {} if fields is None else {"fields": fields}
    one = task(finetuned={**MESSAGES, "messages": messages}, prompt={"model": "m"}, **keys)
    output = OUTPUT if fields is None else {"team": "login"} if "team" in fields else {"vip": None}
    asked = prompt.render(one, Request(input={"body": "x", "lang": None}, fields=one.fields), "finetuned")
    tool = prompt.tool(one)
    written = CHAT.write(asked, prompt.answer(one, output), tools=() if tool is None else (tool,))
    plain = task(**keys)
    (row,), said = read(written, task=plain)
    assert row["output"] == output
    assert said.block("") == {"finetuned": {"engine": "chat", "messages": messages}}
    assert not said.known
    assert read(written, task=one)[1].known


def test_the_block_is_a_spec_that_renders_the_old_line_again(tmp_path: Path) -> None:
    old = line("no code", "login", system="Which team?\nOne word.")
    _, said = read(old, task=task(fields=ONE))
    (tmp_path / "old.txt").write_text(f"{said.system}\n")
    section = said.block("old.txt")["finetuned"]
    anew = task(fields=ONE, folder=tmp_path, finetuned={**section, "model": "ft:old"}, prompt={"model": "m"})
    assert (
        prompt.render(anew, Request(input={"body": "no code"}, fields=anew.fields), "finetuned") == old["messages"][:2]
    )


def test_an_answer_in_a_code_block_is_asked_for_in_one() -> None:
    (row,), said = read(line("x", f"```json\n{ANSWER}\n```"))
    assert row["output"] == OUTPUT
    assert said.block("s.txt")["finetuned"] == {
        "engine": "chat",
        "structure": "md_json",
        "messages": {"system": "s.txt", "user": "text", "answer": "json"},
    }


@pytest.mark.parametrize("text", ["login", " login\n"])
def test_a_bare_label_is_that_of_the_one_field(text: str) -> None:
    (row,), said = read(line("x", text), task=task(fields={**ONE, "vip": {"type": "bool", "optional": True}}))
    assert row["output"] == {"team": "login", "vip": None}
    assert (said.answer, said.label) == ("label", "team")


def test_a_bare_label_is_of_the_field_that_the_spec_names() -> None:
    messages = {"engine": "chat", "model": "m", "messages": {"answer": {"label": "vip"}}}
    one = task(
        fields={"vip": {"type": "bool", "optional": True}, "open": {"type": "text", "optional": True}},
        finetuned=messages,
    )
    assert read(line("x", "true"), task=one)[0][0]["output"] == {"vip": True, "open": None}


def test_a_text_that_is_the_only_field_stays_as_it_is() -> None:
    (row,), _ = read(line("x", " a summary "), task=task(fields={"summary": "text"}))
    assert row["output"] == {"summary": " a summary "}


def test_a_bare_label_of_several_fields_is_of_none() -> None:
    with pytest.raises(DataError, match="answers 'login', which is no JSON object, and the task has several fields"):
        read(line("x", "login"), task=task(fields={**ONE, "summary": "text"}))
    with pytest.raises(DataError, match="calls a tool with arguments that are no JSON object"):
        read(line("x", {"role": "assistant", "function_call": {"name": "f", "arguments": "[]"}}))


def test_keys_of_other_names_are_mapped_as_columns_are() -> None:
    columns = {"input": {"body": "message"}, "output": {"routing.team": "queue"}, "id": "nr"}
    one = task(data={"columns": columns, "group": "customer"})
    asked, answer = json.dumps({"message": "x", "lang": "en"}), json.dumps({"queue": "login", "vip": True})
    (row,), _ = read(line(asked, answer, nr=7, customer="c"), task=one)
    assert row == {
        "input": {"body": "x", "lang": "en"},
        "output": {"routing": {"team": "login"}, "vip": True},
        "id": "7",
        "group": "c",
    }


@pytest.mark.parametrize("keys", [{}, {"finetuned": {"engine": "chat", "model": "m", "messages": {"user": "text"}}}])
def test_a_text_in_quotes_is_a_quotation_where_others_are_plain(keys: dict[str, Any]) -> None:
    texts = [] if keys else ["plain"]
    rows, said = read(*(line(text, ANSWER) for text in [*texts, '"Great game"']), task=task(input=None, **keys))
    assert rows[-1]["input"] == '"Great game"'
    assert (said.user, said.notes) == ("text", ())


def test_json_that_is_no_input_is_a_text() -> None:
    (row,), said = read(line('{"level": "error"}', ANSWER))
    assert (row["input"], said.user) == (body('{"level": "error"}'), "text")
    several = task(input={"a": "text", "b": "text"})
    found = Chats(several, Columns()).checked(FileRow(1, 3, line('{"level": "error"}', ANSWER)), CHAT)
    assert isinstance(found, Rejected)
    assert (found.place, found.reason.partition(" (")[0]) == (3, "a: Field required")


def call(**more: Any) -> dict[str, Any]:
    function = {"name": "decision", "arguments": ANSWER}
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}], **more}


def test_calls_before_the_last_and_what_tools_answered_are_no_part_of_the_row() -> None:
    earlier = [call(content=None), {"role": "tool", "content": "done"}, {"role": "user", "content": "and this?"}]
    rows, said = read(line("first", *earlier, call()), line("x", call(), {"role": "tool", "content": "done"}))
    assert [(row["input"], row["output"]) for row in rows] == [(body("and this?"), OUTPUT), (body("x"), OUTPUT)]
    assert said.answer == "tool"


def weighed(text: str, weight: int) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "weight": weight}


def test_answers_that_were_not_learned_are_passed_over() -> None:
    wrong = weighed(json.dumps({"routing": {"team": "billing"}}), 0)
    (row,), _ = read(line("first", weighed(ANSWER, 1), "second", wrong))
    assert (row["input"], row["output"]) == (body("first"), OUTPUT)
    (row,), _ = read(line("first", wrong, "second", weighed(ANSWER, 1)))
    assert row["input"] == body("second")
    with pytest.raises(DataError, match="has no answer that was learned: the weight of each is 0"):
        read(line("x", wrong))


def test_lines_without_an_answer_are_refused_by_their_shape() -> None:
    for one in (line("x"), {"messages": "x"}, {"messages": ["x"]}):
        with pytest.raises(DataError):
            read(one)


def test_without_lines_that_are_rows_there_is_nothing_to_say() -> None:
    chats = Chats(TASK, Columns())
    assert chats.wording is None
    chats.checked(FileRow(1, 1, line("x", '{"routing": {"team": "nobody"}}')), CHAT)
    assert chats.wording is None


_SYSTEMS = (
    f"system messages differ (4): 2 rows have 'A', 1 rows have '{'B' * 60}…', 1 rows have none, 1 rows another; "
    "the spec says one"
)


def test_what_lines_do_otherwise_than_most_is_said() -> None:
    spaced = '{ "body":  "x" }'
    lines = [
        line("x", ANSWER, system="A"),
        line("y", ANSWER, system="A"),
        line(spaced, f"```\n{ANSWER}\n```", system="B" * 99),
        line("z", ANSWER, system=None),
        line("z", ANSWER, system="C"),
    ]
    _, said = read(*lines)
    assert said.notes == (
        _SYSTEMS,
        "user messages are text in 4 rows and json in 1 rows; the spec asks in one way",
        "answers are json in 4 rows and json in a code block in 1 rows; the spec reads one way",
        "1 of 5 user messages are JSON that will be asked with other spaces or order",
    )
    text = task(input=None)
    assert "1 of 1 user messages" in read(line('"\\u0041"', ANSWER), task=text)[1].notes[0]


def test_a_system_message_of_each_row_is_counted_no_further_than_makes_sense() -> None:
    _, said = read(*(line("x", ANSWER, system=f"about {n}") for n in range(1005)))
    assert said.notes[0].startswith("system messages differ (1,000 or more): 1 rows have 'about 0', 1 rows")
    assert ", 1,002 rows another; the spec says one" in said.notes[0]


def test_line_ends_of_a_system_message_that_a_file_does_not_keep_are_said() -> None:
    _, said = read(line("hi", ANSWER, system="Sort.\r\nOnce."))
    assert said.notes == ("the system message has line ends of Windows, CR LF; it will be asked with LF alone",)


def test_a_block_without_a_system_message_names_no_file() -> None:
    _, said = read(line("x", ANSWER, system=None))
    assert said.block("s.txt")["finetuned"]["messages"] == {"user": "text", "answer": "json"}
