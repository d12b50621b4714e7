"""The spec: what its author typed, where, and what it means."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from decider.spec.check import check
from decider.spec.document import Document, dotted, from_keywords, parse, read
from decider.spec.reader import MINIMAL, Path, Place, Plain

if TYPE_CHECKING:
    from decider.spec.editor import editor_schema
    from decider.spec.grammar import (
        Accept,
        Asked,
        Budget,
        Cache,
        Columns,
        Critical,
        Data,
        Examples,
        Finetuned,
        InlineField,
        LabelAnswer,
        Limits,
        Log,
        Messages,
        Price,
        Prompt,
        Redact,
        Retry,
        Role,
        Spec,
        Structure,
    )

__all__ = [
    "MINIMAL",
    "Accept",
    "Asked",
    "Budget",
    "Cache",
    "Columns",
    "Critical",
    "Data",
    "Document",
    "Examples",
    "Finetuned",
    "InlineField",
    "LabelAnswer",
    "Limits",
    "Log",
    "Messages",
    "Path",
    "Place",
    "Plain",
    "Price",
    "Prompt",
    "Redact",
    "Retry",
    "Role",
    "Spec",
    "Structure",
    "check",
    "dotted",
    "editor_schema",
    "from_keywords",
    "parse",
    "read",
]


def __getattr__(name: str) -> Any:
    """Load the grammar when it is first asked for: its models cost more time than all else that an import does."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "decider.spec.editor" if name == "editor_schema" else "decider.spec.grammar"
    return getattr(import_module(module), name)
