"""The batches of an endpoint: files of requests that it answers within a day, at a part of the price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, Generic, TypeVar
from urllib.parse import quote

from httpx2 import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from decider.engines.completion import PATH
from decider.engines.endpoint import Endpoint
from decider.errors import EngineRejected

URL = f"/v1{PATH}"
"""What the requests of a batch ask; it is written like this whatever the endpoint's own URL ends in."""

SHARE = 0.5
"""The part of the usual price that a request in a batch costs."""

_WINDOW = "24h"
_MARK = "decider_run"
"""The key, in a batch's metadata, of what tells it from all others: creating one is not idempotent."""

_KEPT = {"output_expires_after": {"anchor": "created_at", "seconds": 30 * 86400}}
"""What keeps answers from lying at OpenAI for ever where nobody comes for them; others may not know it."""

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_PAGE = 100
_FILES = 10_000
_GONE = "model"
"""The reason of an error with the status 404."""


class _Read(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class _Listed(_Read):
    id: str


M = TypeVar("M", bound=BaseModel)
L = TypeVar("L", bound=_Listed)


class Problem(_Read):
    """Why a batch was refused as a whole; `line` is that of its file, from 1."""

    code: str | None = None
    line: int | None = None
    message: str | None = None


class _Problems(_Read):
    data: list[Problem] | None = None


class Counts(_Read):
    """How many requests of a batch are answered."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(_Listed):
    """The part that is read of what an endpoint says of a batch."""

    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Problems | None = None
    request_counts: Counts | None = None
    metadata: dict[str, Any] | None = None
    created_at: float | None = None
    completed_at: float | None = None
    expired_at: float | None = None
    cancelled_at: float | None = None

    @field_validator("status")
    @classmethod
    def _as_documented(cls, said: str) -> str:
        """Some servers shout."""
        return said.lower()

    def is_of(self, mark: str, file_id: str | None) -> bool:
        """Whether it was created with a mark; some endpoints do not tell that, but of which file it is."""
        return (self.metadata or {}).get(_MARK) == mark or (file_id is not None and self.input_file_id == file_id)

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in _ENDED

    @property
    def counts(self) -> Counts:
        """How many requests are answered, none where the endpoint does not tell."""
        return self.request_counts or Counts()

    @property
    def problems(self) -> list[Problem]:
        """Why it failed, where it has."""
        return (self.errors and self.errors.data) or []

    @property
    def files(self) -> list[str]:
        """The files that hold its answers and its errors: either may be missing."""
        return [one for one in (self.output_file_id, self.error_file_id) if one]

    @property
    def seconds(self) -> float | None:
        """How long it took, or None where the endpoint does not tell."""
        ended = next((at for at in (self.completed_at, self.expired_at, self.cancelled_at) if at), None)
        return None if ended is None or self.created_at is None else max(0.0, ended - self.created_at)


class _File(_Listed):
    filename: str | None = None


class _Page(_Read, Generic[L]):
    data: list[L] = Field(default_factory=list)
    has_more: bool | None = None


class Batches:
    """Uploads, creates, follows and clears away, each in one call that is never made again here."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def check(self) -> None:
        """Raise `EngineRejected` where the endpoint has no batches; no text of a row is sent for that."""
        _read(_Page[Batch], self._endpoint.get("/batches", limit=1), self._endpoint, "a list of batches")

    def upload(self, name: str, content: IO[bytes]) -> str:
        """Upload a file of requests, and return its id."""
        response = self._endpoint.upload("/files", name, content, purpose="batch")
        return _read(_File, response, self._endpoint, "a file").id

    def uploaded(self, name: str) -> str | None:
        """Return the id of the file that was uploaded under a name, or None where there is none, or no list."""
        try:
            files = self._listed(_Page[_File], "/files", limit=_FILES, purpose="batch")
            return next((one.id for one in files if one.filename == name), None)
        except EngineRejected:  # uploading it again costs nothing
            return None

    def create(self, file_id: str, mark: str) -> Batch:
        """Create the batch of a file; that makes another one each time."""
        body: dict[str, Any] = {"input_file_id": file_id, "endpoint": URL, "completion_window": _WINDOW}
        body |= {"metadata": {_MARK: mark}, **(_KEPT if self._endpoint.asked.is_openai else {})}
        return self._batch(self._endpoint.post("/batches", body))

    def created(self, mark: str, file_id: str | None) -> Batch | None:
        """Return the batch that was created with a mark, or of a file, or None where there is none."""
        batches = self._listed(_Page[Batch], "/batches", limit=_PAGE)
        return next((one for one in batches if one.is_of(mark, file_id)), None)

    def retrieve(self, batch_id: str) -> Batch:
        """Return how a batch stands."""
        return self._batch(self._endpoint.get(f"/batches/{quote(batch_id, safe='')}"))

    def download(self, file_id: str, to: IO[bytes]) -> bool:
        """Write the content of a file into another; False where it is not there any more."""
        return self._is_there(lambda: self._endpoint.download(file_id, to))

    def delete(self, file_id: str) -> None:
        """Delete a file, which may be gone already."""
        self._is_there(lambda: self._endpoint.delete(f"/files/{quote(file_id, safe='')}"))

    def shown(self, problem: Problem) -> str:
        """Return what is wrong, in a form that may be shown."""
        return self._endpoint.shown(": ".join(said for said in (problem.code, problem.message) if said))

    def _batch(self, response: Response) -> Batch:
        return _read(Batch, response, self._endpoint, "a batch")

    def _listed(self, kind: type[_Page[L]], path: str, **query: str | int) -> Iterator[L]:
        """Everything in a list, page by page."""
        while True:
            page = _read(kind, self._endpoint.get(path, **query), self._endpoint, "a list")
            yield from page.data
            last = page.data[-1].id if page.data else None
            if not page.has_more or last in (None, query.get("after")):
                return
            query["after"] = last

    def _is_there(self, call: Callable[[], Any]) -> bool:
        try:
            call()
        except EngineRejected as error:
            if error.reason != _GONE:
                raise
            return False
        return True


def _read(model: type[M], response: Response, endpoint: Endpoint, what: str) -> M:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise endpoint.unreadable(response, what) from error.with_traceback(None)
