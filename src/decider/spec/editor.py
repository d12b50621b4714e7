"""The grammar as a JSON Schema, from which editors complete and check specs."""

from __future__ import annotations

from typing import Any

from decider.spec.grammar import Spec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def editor_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a spec, with a description on every key."""
    schema = _cleaned(Spec.model_json_schema())
    return {"$schema": DIALECT, **schema, "title": "decider spec"}


def _cleaned(node: Any) -> Any:
    """Drop what editors should not offer: null, which no key takes, empty defaults, and titles that repeat the key.

    `anyOf` stands for `oneOf`, since a target is, to an editor, also the threshold of a field of that name.
    """
    if isinstance(node, list):
        return [_cleaned(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: _cleaned(one) for name, one in value.items()}
        elif key != "title" and not (key == "default" and value in (None, "", [])):
            kept["anyOf" if key == "oneOf" else key] = _cleaned(value)
    if {"type": "null"} not in kept.get("anyOf", ()):
        return kept
    forms = [one for one in kept.pop("anyOf") if one != {"type": "null"}]
    return {**kept, **forms[0]} if len(forms) == 1 else {**kept, "anyOf": forms}
