"""A document against the grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from decider.spec.document import Document

if TYPE_CHECKING:
    from decider.spec.grammar import Spec


def check(document: Document) -> Spec:
    """Return the spec that `document` holds.

    Raises one `SpecError` that carries every mistake, the first by place and the others in `also`.
    """
    # The models of the grammar cost more time than all else that importing decider does.
    from decider.spec.grammar import Spec
    from decider.spec.mistakes import mistakes, other_format

    wrong = other_format(document)
    if wrong is not None:
        raise wrong
    try:
        spec, details = Spec.model_validate(document.data), []
    except ValidationError as invalid:
        spec, details = None, invalid.errors(include_url=False)
    found = mistakes(document, details)
    if spec is None or found:
        found[0].also = tuple(found[1:])
        raise found[0]
    return spec
