"""A Pydantic model and its fields: each as the other, and as the JSON schema that strict endpoints take."""

from decider.schema.fields import (
    Field,
    Kind,
    Label,
    Option,
    fields_of,
    fingerprint,
    has_validators,
    inputs_of,
    nest,
    pick,
    strict_schema,
)
from decider.schema.inline import Inline, inline_of, model_of

__all__ = [
    "Field",
    "Inline",
    "Kind",
    "Label",
    "Option",
    "fields_of",
    "fingerprint",
    "has_validators",
    "inline_of",
    "inputs_of",
    "model_of",
    "nest",
    "pick",
    "strict_schema",
]
