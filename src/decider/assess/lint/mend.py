"""What is mechanical in mending rows: each step gives the rows as they are then, and says what it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from decider.assess.lint.columns import at
from decider.assess.lint.damage import fixed
from decider.assess.lint.finding import Rows
from decider.assess.lint.given import Given, compared, is_checked
from decider.assess.lint.rejected import changed, is_empty, output_at, with_values
from decider.assess.lint.same import alike_in, free_text
from decider.assess.lint.spelling import meant, replaced, unknown
from decider.data.near import same
from decider.data.rows import Checked, Rejected
from decider.decision import Example
from decider.errors import InputError
from decider.schema import Field, Label
from decider.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done to one row: it was `changed` or `dropped`; `before` and `after` are values of its `field`.

    `n` is the number of the row, from 0. The field of a text is None where the input is one text.
    """

    code: str
    n: int
    row: str
    action: Literal["changed", "dropped"]
    message: str
    field: str | None = None
    before: Any = None
    after: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; of a dropped row without `field`, `before` and `after`."""
        told = {"code": self.code, "row": self.row, "action": self.action, "message": self.message}
        if self.action == "dropped":
            return told
        return told | {"field": self.field, "before": self.before, "after": self.after}


@dataclass(slots=True)
class Mending:
    """Rows by their number from 0, as they are at this point, and all that was done to them so far."""

    task: Task[Any]
    rows: dict[int, Checked]
    changes: list[Change]

    def examples(self) -> tuple[Rows, Sequence[int]]:
        """The rows that are examples, as the checks look at them, and the numbers that these have here."""
        found = {n: one for n, one in self.rows.items() if isinstance(one, Example)}
        examples = tuple(found.values())
        return Rows(task=self.task, examples=examples, same=same([one.input for one in examples])), list(found)

    def drop(self, code: str, n: int, message: str) -> None:
        """Take a row away."""
        one = self.rows.pop(n)
        self.changes.append(Change(code=code, n=n, row=str(one.id), action="dropped", message=message))

    def change(
        self, code: str, n: int, after: Checked, message: str, values: Iterable[tuple[str | None, Any, Any]]
    ) -> None:
        """Put another row in place of one; `values` are fields, each with what was there and what is."""
        self.rows[n] = after
        for path, old, new in values:
            told = Change(
                code=code,
                n=n,
                row=str(after.id),
                action="changed",
                message=message,
                field=path,
                before=old,
                after=new,
            )
            self.changes.append(told)


def decode(mending: Mending) -> None:
    """Decode texts anew that were decoded with the wrong character set; raises `ImportError` without the extra."""
    examples = {n: one for n, one in mending.rows.items() if isinstance(one, Example)}
    decoded = [(n, one, _decoded(one, mending.task)) for n, one in examples.items()]
    for n, one, again in decoded:
        if again is not None:
            mending.change("mojibake", n, again, "decoded anew, as UTF-8", _differing(one, again, mending.task))


def _decoded(one: Example, task: Task[Any]) -> Example | None:
    """A row with its texts decoded as they were written, None where they were, and where they then do not fit."""
    try:
        again = task.encode(_each_text(one.input))
    except InputError:  # such as a bound of its length
        return None
    return None if again == one.input else replace(one, input=again)


def _differing(one: Example, again: Example, task: Task[Any]) -> list[tuple[str | None, Any, Any]]:
    """The fields of the input that differ, each with both values."""
    if not task.inputs:
        return [(None, one.input, again.input)]
    both = ((field.path, at(one.input, field.path), at(again.input, field.path)) for field in task.inputs)
    return [(path, old, new) for path, old, new in both if old != new]


def _each_text(value: Any) -> Any:
    match value:
        case str():
            return fixed(value)
        case Mapping():
            return {key: _each_text(one) for key, one in value.items()}
        case list():
            return [_each_text(one) for one in value]
        case _:
            return value


def spell(mending: Mending) -> None:
    """Put options in place of labels that are other spellings of them, in rows that then fit in whole."""
    for n, one in mending.rows.items():
        if isinstance(one, Rejected) and {problem.kind for problem in one.problems} == {"unknown-label"}:
            given = _unknown(one, mending.task)
            values = {field: _as_options(value, field) for field, value in given.items()}
            again = with_values(one, values, mending.task)
            if isinstance(again, Example):
                both = ((field.path, given[field], value) for field, value in values.items())
                mending.change("unknown-label", n, again, "an option, in another spelling", both)


def _unknown(one: Rejected, task: Task[Any]) -> dict[Field, Any]:
    """The values of the fields that a row has unknown labels in."""
    paths = {problem.field for problem in one.problems}
    return {field: output_at(one, field, task) for field in task.fields if field.path in paths}


def _as_options(value: Any, field: Field) -> Any:
    options: dict[int, Label] = {n: label for n, part in unknown(value, field).items() for label in meant(part, field)}
    return replaced(value, options)


def empty(mending: Mending) -> None:
    """Drop rows with nothing in their input."""
    for n, one in [*mending.rows.items()]:
        if isinstance(one, Rejected) and is_empty(one, mending.task):
            mending.drop("empty", n, "the input is empty")


def settle(mending: Mending) -> None:
    """Give rows the labels that others with the same input have which somebody checked, where those agree."""
    seen, numbers = mending.examples()
    values: dict[int, dict[Field, Any]] = defaultdict(dict)
    for field, value, member in _checked_values(seen):
        values[member][field] = value
    for member, wanted in values.items():
        one = seen.examples[member]
        again = _with_output(one, wanted, mending.task)
        if again is not None:
            both = ((field.path, at(one.output, field.path), value) for field, value in wanted.items())
            message = "as a row with the same input has it that somebody checked"
            mending.change("contradiction", numbers[member], again, message, both)


def _checked_values(seen: Rows) -> Iterator[tuple[Field, Any, int]]:
    """Fields, values that were checked, and the numbers of rows that have others."""
    for members in _several(seen):
        for field in compared(seen.task):
            given = Given.of(seen, field, members)
            for key in given.checked if given.differ and len(given.checked) == 1 else ():
                others = [n for other, numbers in given.by_value.items() if other != key for n in numbers]
                yield from ((field, given.value(key), n) for n in others)


def _with_output(one: Example, values: Mapping[Field, Any], task: Task[Any]) -> Example | None:
    """A row with other values in its output, None where the schema refuses that."""
    output = one.output
    for field, value in values.items():
        output = changed(output, field.path, value)
    try:
        validated = task.validate(output)
    except ValidationError:
        return None
    return replace(one, output=validated.model_dump(mode="json", by_alias=False))


def single(mending: Mending) -> None:
    """Keep of rows with the same input and output the first that somebody checked, or the first.

    Where others with that input have other labels, all are kept: how many there are of each says something. So they are
    where no input is a free text, since they may be different cases.
    """
    seen, numbers = mending.examples()
    for members in _several(seen) if free_text(seen) else ():
        if any(Given.of(seen, field, members).differ for field in compared(seen.task)):
            continue
        for alike in alike_in(seen, members):
            kept = next((n for n in alike if is_checked(seen.examples[n])), alike[0])
            for n in alike:
                if n != kept:
                    mending.drop("duplicate", numbers[n], f"the same input and output as row {seen.id(kept)}")


def _several(seen: Rows) -> Iterator[list[int]]:
    return (members for members in seen.clusters().values() if len(members) > 1)


STEPS: Mapping[str, Callable[[Mending], None]] = {
    "mojibake": decode,
    "unknown-label": spell,
    "empty": empty,
    "contradiction": settle,
    "duplicate": single,
}
"""The steps by the code of what they mend, in their order: each may be about what the one before has made."""
