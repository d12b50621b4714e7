"""Every error that decider raises.

    DeciderError
      SpecError             the spec or the schema is wrong: file, line, column, field, remedy
      InputError            the input of one row does not fit: row, field
      EngineError           an engine gave no usable answer
        EngineUnavailable   not this time: timeout, connection, 429, 5xx; asked again
        EngineRejected      never like this: auth, quota, unknown model, bad request
        DeadlineExceeded    the time allowed for the decision is over
        BudgetExceeded      the next attempt could cost more than is allowed
      InvalidDecision       the engine answered, but no reply ever fitted the schema
      Undecided             the output that is read is not there: refused or filtered
      ModelError            a model folder is damaged, foreign, or of another task
      DataError             a dataset file or row is wrong: file, row

Misuse of the API stays `TypeError` and `ValueError`; a missing extra is an `ImportError` that names it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

__all__ = [
    "BudgetExceeded",
    "DataError",
    "DeadlineExceeded",
    "DeciderError",
    "EngineError",
    "EngineRejected",
    "EngineUnavailable",
    "InputError",
    "InvalidDecision",
    "ModelError",
    "SpecError",
    "Undecided",
]

Reason = Literal["auth", "quota", "model", "request"]
Scope = Literal["decision", "run"]


class DeciderError(Exception):
    """The base of every error that decider raises on purpose; it can be sent between processes."""

    retryable: ClassVar[bool] = False
    """Whether the same row may be decided at another time: a run of a file goes over it again."""

    @property
    def fatal(self) -> bool:
        """Whether no other row would fare better, so that a batch ends."""
        return False

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remade, (type(self), self.args, self.__dict__))


def _remade(kind: type[DeciderError], args: tuple[Any, ...], state: dict[str, Any]) -> DeciderError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class SpecError(DeciderError):
    """A mistake in a spec or in its schema, with the place and what to write instead.

    `also` holds further mistakes found in the same reading, in the order of their places; `str()` shows all of them,
    one a line.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
        remedy: str | None = None,
        also: tuple[SpecError, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.field = field
        self.remedy = remedy
        self.also = also

    def __str__(self) -> str:
        return "\n".join(error.sentence for error in (self, *self.also))

    def with_also(self, also: tuple[SpecError, ...]) -> SpecError:
        """Return the same mistake with further ones behind it."""
        return SpecError(
            self.message,
            file=self.file,
            line=self.line,
            column=self.column,
            field=self.field,
            remedy=self.remedy,
            also=(*self.also, *also),
        )

    @property
    def sentence(self) -> str:
        """This mistake alone, as `file:line:column: field: message; remedy`."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        head = ": ".join(part for part in (place, self.field, self.message) if part)
        return f"{head}; {self.remedy}" if self.remedy else head


class InputError(DeciderError):
    """The input of one row does not fit what the task decides on."""

    def __init__(self, message: str, *, row: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.row = row
        self.field = field

    def __str__(self) -> str:
        row = None if self.row is None else f"row {self.row}"
        return ": ".join(part for part in (row, self.field, self.message) if part)


class EngineError(DeciderError):
    """An engine gave no usable answer."""


class EngineUnavailable(EngineError):
    """The engine did not answer this time: timeout, connection, 429 or 5xx; it is asked again.

    `retry_after` is in seconds, as the endpoint asked, or None. `throttled` says that it answers, but fewer calls than
    it gets (429); `ambiguous`, that the call may have been done, and billed, although no answer came; `lasting`, that
    there was none for so long that a batch waits no longer.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        throttled: bool = False,
        ambiguous: bool = False,
        lasting: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.throttled = throttled
        self.ambiguous = ambiguous
        self.lasting = lasting

    @property
    def fatal(self) -> bool:
        """Whether a batch waits no longer."""
        return self.lasting


class EngineRejected(EngineError):
    """The engine will never answer this request: auth, quota, unknown model or a bad request."""

    def __init__(self, message: str, *, reason: Reason, filtered: bool = False) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.filtered = filtered
        """Whether it was the endpoint's content filter that refused the request, before any model saw it."""

    @property
    def fatal(self) -> bool:
        """Whether the key, the quota or the model is to blame."""
        return self.reason != "request"


class DeadlineExceeded(EngineError):
    """The time that the spec allows for one decision is over.

    `retry_after` is in seconds, where the endpoint asked for a longer wait than the deadline allows; `ambiguous` says
    that a call was under way, which may be billed.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.ambiguous = ambiguous

    @property
    def fatal(self) -> bool:
        """Whether the endpoint wants to be left alone for longer than a row has."""
        return self.retry_after is not None


class BudgetExceeded(EngineError):
    """The next attempt could cost more than the spec allows, for this decision or for all of a run.

    `key` is the place of the limit in the spec, such as `budget.run.usd`, and `limit` what it says; both are None where
    it is not used up, and others have reserved what is left of it.
    """

    def __init__(
        self, message: str, *, scope: Scope = "decision", key: str | None = None, limit: float | None = None
    ) -> None:
        super().__init__(message)
        self.scope: Scope = scope
        self.key = key
        self.limit = limit

    @property
    def fatal(self) -> bool:
        """Whether the budget of the whole run is used up."""
        return self.scope == "run"


class InvalidDecision(DeciderError):
    """The engine answered, but no reply ever fitted the schema."""

    retryable = True


class Undecided(DeciderError):
    """The output of a decision that has none was read: the engine refused, or a filter stepped in."""


class ModelError(DeciderError):
    """A model folder is damaged, foreign, or made for another task."""


class DataError(DeciderError):
    """A dataset file or one of its rows is wrong."""

    def __init__(self, message: str, *, file: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.row = row

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.row) if part is not None)
        return f"{place}: {self.message}" if place else self.message
