"""Lines that a chat model was tuned on, back as rows, and how the spec asks that model in its own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import to_json

from decider import prompt
from decider.data.corrections import value_of
from decider.data.files import FileRow, parsed
from decider.data.flat import TEXTS, columns_of
from decider.data.rows import Checked, check
from decider.data.shapes import CHAT, Line, Shape, Turns
from decider.decision import Example, Request
from decider.errors import DataError, InputError
from decider.schema import Field, nest
from decider.spec import Columns
from decider.task import Task

Asked = Literal["text", "json"]
Answered = Literal["json", "tool", "label"]

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_MOST_SYSTEMS = 1000
"""Different system messages that are counted; where each row has one of its own, they are not one system message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How most lines ask and answer: what stands in `finetuned.messages` of the spec that asks the old model.

    `label` is the field whose bare label is the answer, and `fenced` says that the answer stands in a code block.
    `notes` says, a sentence each, what lines do otherwise.
    """

    system: str | None
    user: Asked
    answer: Answered
    label: str | None
    fenced: bool
    notes: tuple[str, ...]
    known: bool
    """Whether the spec asks like this already."""

    def block(self, system: str) -> dict[str, Any]:
        """Return the section of the spec; `system` is the file that holds the system message, beside the spec."""
        messages: dict[str, Any] = {} if self.system is None else {"system": system}
        messages["user"] = self.user
        messages["answer"] = {"label": self.label} if self.answer == "label" else self.answer
        fenced = {"structure": "md_json"} if self.fenced else {}
        return {"finetuned": {"engine": "chat", **fenced, "messages": messages}}


class Chats:
    """Turns lines of any shape into rows, and remembers how those that fit ask and answer."""

    def __init__(self, task: Task[Any], columns: Columns) -> None:
        self._task = task
        inputs, outputs = columns_of(task, columns)
        self._inputs = _renamed(inputs)
        self._outputs = _renamed(outputs)
        self._label = _label(task)
        data = task.spec.data
        given = {"id": columns.id, "group": data.group, "time": data.time}
        self._beside = {key: given.get(key) or key for key in ("id", *TEXTS)}
        self._systems: Counter[str | None] = Counter()
        self._asked: Counter[Asked] = Counter()
        self._answered: Counter[tuple[Answered, bool]] = Counter()
        self._spaced = 0
        self._earlier = 0

    def checked(self, row: FileRow, shape: Shape) -> Checked:
        """Check what a line holds, its last question and the answer to it; raises `DataError` where it has none."""
        line: Line = row.value
        turns = shape.read(_trained(line) if shape is CHAT else line)
        output, answered = self._output(turns)
        value, asked = self._input(turns.turns[-1][1])
        made = {"input": value, "output": output, **self._about(line)}
        found = check(made, self._task, row.n, place=row.place, original=line)
        if isinstance(found, Example):
            self._count(turns, value, asked, answered)
        return found

    @property
    def wording(self) -> Wording | None:
        """How the lines ask and answer, or None where there were none."""
        if not self._asked:
            return None
        rows = self._asked.total()
        system = self._systems.most_common(1)[0][0]
        asked = self._asked.most_common(1)[0][0]
        answered, fenced = self._answered.most_common(1)[0][0]
        return Wording(
            system=system,
            user=asked,
            answer=answered,
            label=self._label.path if answered == "label" and self._label is not None else None,
            fenced=fenced,
            notes=tuple(self._notes(rows)),
            known=(system, asked, answered, fenced) == _known(self._task),
        )

    def _notes(self, rows: int) -> list[str]:
        notes = []
        if len(self._systems) > 1 or self._systems.total() < rows:
            notes.append(_said_of(self._systems, rows))
        if any("\r" in (system or "") for system, _ in self._systems.most_common(1)):
            notes.append("the system message has line ends of Windows, CR LF; it will be asked with LF alone")
        if len(self._asked) > 1:
            notes.append(f"user messages are {_counted(self._asked)}; the spec asks in one way")
        if len(self._answered) > 1:
            ways = Counter(
                {f"{way}{' in a code block' if fenced else ''}": n for (way, fenced), n in self._answered.items()}
            )
            notes.append(f"answers are {_counted(ways)}; the spec reads one way")
        if self._spaced:
            notes.append(
                f"{self._spaced:,} of {rows:,} user messages are JSON that will be asked with other spaces or order"
            )
        if self._earlier:
            notes.append(f"{self._earlier:,} of {rows:,} lines have earlier turns, which are left out of the row")
        return notes

    def _about(self, line: Line) -> dict[str, Any]:
        """What a line holds beside its messages that rows hold, too."""
        found = {key: line.get(name) for key, name in self._beside.items()}
        return {
            key: value
            for key, value in found.items()
            if isinstance(value, str | int) and not isinstance(value, bool) and value != ""
        }

    def _count(self, turns: Turns, value: Any, asked: Asked, answered: tuple[Answered, bool]) -> None:
        if turns.system in self._systems or len(self._systems) < _MOST_SYSTEMS:
            self._systems[turns.system] += 1
        self._asked[asked] += 1
        self._answered[answered] += 1
        self._earlier += len(turns.turns) > 1
        self._spaced += asked == "json" and self._is_spaced(turns.turns[-1][1], value)

    def _input(self, text: str) -> tuple[Any, Asked]:
        """The input that a message asks about: as JSON, where it is that of an input, else the text itself."""
        found = parsed(text)
        if isinstance(found, Mapping) and self._task.inputs:
            value = _mapped(found, self._inputs)
            if self._task.only_text is None or self._fits(value):
                return value, "json"
        if isinstance(found, str) and not self._task.inputs and not self._as_it_is:
            return found, "json"
        return text, "text"

    @property
    def _as_it_is(self) -> bool:
        """Whether a text in quotes is a quotation, and no JSON: the spec asks in plain texts, or most lines do."""
        said = self._task.spec.finetuned.messages
        return (said is not None and said.user == "text") or self._asked["text"] > self._asked["json"]

    def _is_spaced(self, text: str, value: Any) -> bool:
        """Whether JSON is written in another way than it will be."""
        return text not in (to_json(value).decode(), prompt.user_message(self._task, value, "prompt"))

    def _fits(self, value: Any) -> bool:
        try:
            self._task.encode(value)
        except InputError:
            return False
        return True

    def _output(self, turns: Turns) -> tuple[Any, tuple[Answered, bool]]:
        """What a line answers, and in which way; `True` where that stands in a code block."""
        fenced = _FENCED.fullmatch(turns.answer.strip())
        found = parsed(fenced[1] if fenced else turns.answer)
        if isinstance(found, Mapping):
            return _mapped(found, self._outputs), ("tool" if turns.tool else "json", fenced is not None)
        if turns.tool:
            raise DataError("calls a tool with arguments that are no JSON object")
        field = self._label
        if field is None:
            raise DataError(f"answers {_shown(turns.answer)}, which is no JSON object, and the task has several fields")
        empty = {one.path: None for one in self._task.fields if one.optional}
        return nest({**empty, field.path: _bare(field, turns.answer)}), ("label", False)


def _known(task: Task[Any]) -> tuple[str | None, Asked, Answered, bool]:
    """How the spec has a tuned model asked and answer."""
    first = prompt.render(task, Request(input="", fields=task.fields), "finetuned")[0]
    said = task.spec.finetuned.messages
    structure = task.spec.asked("finetuned").structure
    label = said is not None and said.label is not None
    return (
        first["content"] if first["role"] == "system" else None,
        "json" if said is None else said.user,
        "label" if label else "tool" if structure == "tools" else "json",
        structure == "md_json",
    )


def _label(task: Task[Any]) -> Field | None:
    """The field that a bare label is of: the one that the spec names, or the only one that must be there."""
    said = task.spec.finetuned.messages
    needed = [field for field in task.fields if not field.optional]
    if said is not None and said.label is not None:
        needed = [field for field in task.fields if field.path == said.label]
    elif len(task.fields) == 1:
        needed = list(task.fields)
    return needed[0] if len(needed) == 1 else None


def _bare(field: Field, text: str) -> Any:
    """The value that a bare answer is; older files begin an answer with a space, and end it with a line end."""
    value = value_of(field, text)
    return value if not field.closed or value in field.labels else value_of(field, text.strip())


def _trained(line: Line) -> Line:
    """A line up to the last answer that was learned (one of weight 0 was not), without earlier calls of tools."""
    messages = line.get("messages")
    if not isinstance(messages, list) or not all(isinstance(one, Mapping) for one in messages):
        return line
    answers = [n for n, one in enumerate(messages, 1) if one.get("role") == "assistant"]
    learned = [n for n in answers if messages[n - 1].get("weight") != 0]
    if answers and not learned:
        raise DataError("has no answer that was learned: the weight of each is 0")
    return {**line, "messages": _plain(messages[: learned[-1]] if learned else messages)}


def _plain(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Messages without earlier calls of tools and what came of them."""
    return [
        one
        for n, one in enumerate(messages, 1)
        if n == len(messages) or not (one.get("role") == "tool" or (one.get("tool_calls") and not one.get("content")))
    ]


def _renamed(columns: Mapping[str, str]) -> dict[str, str]:
    return {path: name for path, name in columns.items() if path != name}


def _mapped(found: Mapping[str, Any], renamed: Mapping[str, str]) -> Mapping[str, Any]:
    """An object whose keys are called like the fields; `renamed` says by path under which keys others stand."""
    moved = {path: found[name] for path, name in renamed.items() if name in found}
    if not moved:
        return found
    rest = {key: value for key, value in found.items() if key not in renamed.values()}
    return nest({**rest, **moved})


def _said_of(systems: Counter[str | None], rows: int) -> str:
    """How many rows have which system message."""
    shown = [
        f"{count:,} rows have {'none' if text is None else _shown(text)}" for text, count in systems.most_common(3)
    ]
    rest = rows - sum(count for _, count in systems.most_common(3))
    others = f", {rest:,} rows another" if rest else ""
    many = f"{len(systems):,} or more" if systems.total() < rows else f"{len(systems):,}"
    return f"system messages differ ({many}): {', '.join(shown)}{others}; the spec says one"


def _counted(counts: Mapping[Any, int]) -> str:
    return " and ".join(f"{way} in {count:,} rows" for way, count in counts.items())


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else f"{line[:60]}…")
