"""Label Studio's exports, JSON and JSON-MIN, as rows: who annotated a task last, and who saw it otherwise.

The formats are those of https://labelstud.io/guide/export (and `completions`, as annotations once were called).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from decider.data.files import FileRow, parsed, typed
from decider.data.flat import columns_of
from decider.errors import DataError
from decider.schema import Field, nest
from decider.spec import Columns
from decider.task import Task

_KEYS = {"textarea": "text", "pairwise": "selected"}
"""Under which key of its value a control has what was chosen, where that is not its own type."""

_REGIONS = ("labels", "brush", "polygon", "rectangle", "ellipse", "keypoint", "relation")
_MIN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
_MOST_NAMED = 5


def is_task(row: Mapping[str, Any]) -> bool:
    """Whether a row is a task as Label Studio exports it, in either form."""
    whole = isinstance(row.get("data"), Mapping) and ("annotations" in row or "completions" in row)
    return whole or _is_min(row)


def _is_min(row: Mapping[str, Any]) -> bool:
    return "annotation_id" in row and ("annotator" in row or "lead_time" in row)


def gathered(rows: Iterable[FileRow]) -> Iterator[FileRow]:
    """Bring the annotations of one task together, which JSON-MIN has each in a row of its own; else rows stay."""
    tasks: dict[str, dict[str, Any]] = {}
    places: dict[str, FileRow] = {}
    for row in rows:
        if row.problem is not None or not isinstance(row.value, Mapping) or not _is_min(row.value):
            yield row
            continue
        name = str(row.value.get("id", f"row {row.n}"))
        if name not in tasks:
            places[name] = row
            tasks[name] = {"data": row.value, "annotations": [], **_chosen_id(row.value)}
        tasks[name]["annotations"].append(_from_min(row.value))
    for name, row in places.items():
        yield row._replace(value=tasks[name])


def _chosen_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {} if row.get("id") is None else {"id": row["id"]}


def _from_min(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of JSON-MIN as an annotation: every key may be a control, and those that are no field are not read."""
    result = [{"from_name": name, "min": _object(value)} for name, value in row.items() if name not in _MIN]
    return {"result": result, "completed_by": row.get("annotator"), "updated_at": row.get("updated_at")}


def _object(cell: Any) -> Any:
    """A cell, which is JSON in a CSV export where it is not a single choice."""
    return parsed(cell, cell) if isinstance(cell, str) and cell.startswith(("[", "{")) else cell


class Annotated:
    """Turns tasks into rows; what annotators disagree on is counted by field, and the first tasks are named.

    Of several annotations of a task the one that is marked as ground truth counts, else the one updated last; those
    that were cancelled do not.
    """

    def __init__(self, task: Task[Any], columns: Columns) -> None:
        self._task = task
        self._columns = columns
        self._inputs, self._outputs = columns_of(task, columns)
        self.disagreed: Counter[str] = Counter()
        """How many tasks there are whose annotations differ, by field."""
        self.tasks: list[str] = []
        """Tasks whose annotations differ, by their ids; not more than a few."""
        self.several = 0
        """How many tasks have more than one annotation."""

    def row(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return a task as a row; raises `DataError` where nobody annotated it."""
        data = value.get("data")
        if not isinstance(data, Mapping):
            raise DataError("is no task of Label Studio: it has no data")
        annotations = _counting(value)
        outputs = [self._output(one) for one in annotations]
        self._compare(str(value.get("id", "without an id")), outputs)
        last = annotations[-1]
        said = {
            "input": self._input(data),
            "output": nest(outputs[-1]),
            **_chosen_id(value),
            **self._about(data),
            "by": _who(last.get("completed_by")),
            "at": last.get("updated_at") or last.get("created_at"),
        }
        return {key: one for key, one in said.items() if one is not None}

    def _input(self, data: Mapping[str, Any]) -> Any:
        if not self._task.inputs:
            return data.get(self._inputs["text"])
        named = {field: self._inputs[field.path] for field in self._task.inputs}
        return nest({field.path: typed(field, data[name]) for field, name in named.items() if name in data})

    def _about(self, data: Mapping[str, Any]) -> dict[str, Any]:
        named = (("id", self._columns.id), ("group", self._task.spec.data.group), ("time", self._task.spec.data.time))
        return {key: data[name] for key, name in named if name is not None and data.get(name) is not None}

    def _output(self, annotation: Mapping[str, Any]) -> dict[str, Any]:
        """By path, what one annotation says; tags of which none was chosen are an empty list."""
        chosen: dict[str, list[Any]] = {}
        for one in annotation["result"]:
            if isinstance(one, Mapping) and isinstance(one.get("from_name"), str):
                chosen.setdefault(one["from_name"], []).extend(_values(one))
        found: dict[str, Any] = {}
        for field in self._task.fields:
            values = chosen.get(self._outputs[field.path])
            if values is not None:
                found[field.path] = _value(field, values)
            elif field.kind == "tags" or field.optional:
                found[field.path] = [] if field.kind == "tags" else None
        return found

    def _compare(self, name: str, outputs: list[dict[str, Any]]) -> None:
        if len(outputs) < 2:
            return
        self.several += 1
        paths = [field.path for field in self._task.fields if len({_key(one.get(field.path)) for one in outputs}) > 1]
        self.disagreed.update(paths)
        if paths and len(self.tasks) < _MOST_NAMED:
            self.tasks.append(name)


def _key(value: Any) -> str:
    return json.dumps(sorted(map(str, value)) if isinstance(value, list) else value, default=str)


def _counting(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The annotations of a task that count, the best last."""
    found = value.get("annotations") or value.get("completions") or []
    said = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    if not said:
        raise DataError("nobody annotated this task")
    kept = [one for one in said if not one.get("was_cancelled") and not one.get("skipped")]
    if not kept:
        raise DataError("was skipped by all who looked at it")
    kept = [one for one in kept if isinstance(one.get("result"), list) and one["result"]]
    if not kept:
        raise DataError("has an annotation in which nothing was chosen")
    return sorted(kept, key=_order)


def _order(annotation: Mapping[str, Any]) -> tuple[bool, str]:
    when = annotation.get("updated_at") or annotation.get("created_at") or ""
    return bool(annotation.get("ground_truth")), str(when)


def _who(said: Any) -> str | None:
    """Whoever annotated: a number, a text, or an object that tells more."""
    if isinstance(said, Mapping):
        said = next((said[key] for key in ("email", "username", "id") if said.get(key)), None)
    return None if said is None else str(said)


def _values(result: Mapping[str, Any]) -> list[Any]:
    """What was chosen in one result; of a taxonomy, the last name of each path."""
    if "min" in result:
        return _from_minimal(result["min"])
    kind, value = str(result.get("type")), result.get("value")
    if not isinstance(value, Mapping):
        return []
    if kind.startswith(_REGIONS) or kind.endswith("labels"):
        raise DataError(f"{result['from_name']}: marks a region ({kind}), which is no decision on the whole task")
    return _listed(kind, value.get(_KEYS.get(kind, kind)))


def _listed(kind: str, found: Any) -> list[Any]:
    values = found if isinstance(found, list) else [found]
    if kind == "taxonomy":
        values = [path[-1] if isinstance(path, list) and path else path for path in values]
    return ["\n".join(map(str, values))] if kind == "textarea" else values


def _from_minimal(value: Any) -> list[Any]:
    """The same in JSON-MIN: one choice or text alone, or a value, or a list of values, as JSON has it."""
    found: list[Any] = []
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, Mapping):
            found.append(one)
            continue
        kinds = [(kind, inner) for kind, inner in one.items() if kind in _CHOSEN]
        found += [each for kind, inner in kinds for each in _listed("textarea" if kind == "text" else kind, inner)]
    return found


_CHOSEN = ("choices", "taxonomy", "rating", "number", "text", "datetime", "selected")
"""The keys under which JSON-MIN has what was chosen."""


def _value(field: Field, values: list[Any]) -> Any:
    """What was chosen as a value of a field; several where there is to be one stay so, and are refused with the row."""
    unique: list[Any] = []
    for one in values:
        leaf = _leaf(field, one)
        if leaf is not None and leaf not in unique:
            unique.append(leaf)
    if field.kind == "tags":
        return unique
    return unique[0] if len(unique) == 1 else unique or None


def _leaf(field: Field, value: Any) -> Any:
    if field.kind == "tags":
        return next((label for label in field.labels if str(label) == str(value)), value)
    if isinstance(value, float) and value.is_integer() and field.kind in ("integer", "scale"):
        return int(value)
    return typed(field, value)
