"""What an endpoint's failure means: asked again, never again, and in which words, without a secret in them."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import openai
from httpx2 import ConnectError, ConnectTimeout, Headers, HTTPStatusError, PoolTimeout, Response, UnsupportedProtocol

from decider.engines.key import Key
from decider.errors import EngineError, EngineRejected, EngineUnavailable

_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"})
_PAYMENT = 402
_FILTER = "content_filter"
_NEVER = frozenset({501, 505})
_THROTTLED = 429
_AGAIN = frozenset({408, 409, 425, _THROTTLED})
_NEVER_SENT = (ConnectError, ConnectTimeout, PoolTimeout, UnsupportedProtocol)
_EXCERPT = 80
_LONGEST_SAID = 300
_DEEPEST = 8
_HOLDERS = frozenset({"request", "_request", "response", "body"})
"""What an error of the client holds headers and texts in."""

_SAID_IN = ("message", "detail", "error", "msg")
"""Where the messages of the various servers stand in their error bodies."""


def fault_of(error: openai.OpenAIError, *, url: str, model: str, key: Key) -> EngineError:
    """Return the `EngineError` that an error of the openai client stands for, by its type and status alone."""
    match error:
        case openai.APITimeoutError() if not isinstance(error.__cause__, ConnectTimeout):
            return EngineUnavailable(f"{url} did not answer in time", ambiguous=True)
        case openai.APIConnectionError():
            # A refused connection and an unknown host arrive as time-outs of the connection, too.
            said = f"{url} cannot be reached: {key.scrub(_cause(error))}"
            return EngineUnavailable(said, ambiguous=not isinstance(error.__cause__, _NEVER_SENT))
        case openai.APIStatusError():
            return _status(error, url=url, model=model, key=key)
    return EngineUnavailable(f"{url} gave an answer that the client could not use: {key.scrub(str(error))}")


def client_error(error: Exception, outside: BaseException | None = None) -> openai.OpenAIError | None:
    """Return the error of the openai client, also where it stumbled over a bad status; None where it is none.

    It reads the body of a bad status as the charset that the answer names, which may be none.
    """
    if isinstance(error, openai.OpenAIError):
        return error
    failed = error.__context__
    if failed is outside or not isinstance(failed, HTTPStatusError):
        return None
    said = failed.response.content.decode(errors="replace")
    known = openai.APIStatusError(said, response=failed.response, body=said)
    known.__cause__ = error
    return known


def unreadable(response: Response, key: Key, what: str) -> EngineUnavailable:
    """Return the error for a reply with a good status that is not `what`: a login page, an error body."""
    kind = key.scrub(response.headers.get("content-type", "nothing said of its type"))[:_EXCERPT]
    # The charset that the server names may be no charset at all; and half a key is not recognised, so cut last.
    start = key.scrub(response.content.decode(errors="replace"))[:_EXCERPT]
    place = key.scrub(str(response.url.copy_with(userinfo=b"", query=None)))
    return EngineUnavailable(f"{place} answered {response.status_code} with {kind}, not {what}: {start!r}")


def quiet(error: BaseException, key: Key, outside: BaseException | None = None) -> BaseException:
    """Return `error`, as the cause of ours: without the key in it, and without what holds headers and texts.

    `outside` is what the caller was handling at the time, which is the caller's own and stays as it is.
    """
    one: BaseException | None = error
    while one is not None and one is not outside:
        one.args = tuple(key.scrub(part) if isinstance(part, str) else part for part in one.args)
        held = vars(one)
        held.update({name: key.scrub(value) for name, value in held.items() if isinstance(value, str)})
        held.update(dict.fromkeys(_HOLDERS & held.keys()))
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error


def _status(error: openai.APIStatusError, *, url: str, model: str, key: Key) -> EngineError:
    status, said = error.status_code, line(key.scrub(_said(error)))
    if status == 400 and error.code == _FILTER:
        return EngineRejected(f"the content filter of {url} refused it: {said}", reason="request", filtered=True)
    if status == _PAYMENT or not _QUOTA.isdisjoint((str(error.code), str(error.type))):
        return EngineRejected(f"{url} says that the quota is used up; look at its billing page: {said}", reason="quota")
    if status in (401, 403):
        return EngineRejected(f"{url} refused the key ({status}): {said}", reason="auth")
    if status == 404:
        return EngineRejected(f"{url} knows no model {model!r}, or the path is wrong (404): {said}", reason="model")
    if status in _AGAIN or (status >= 500 and status not in _NEVER):
        wait, throttled = _retry_after(error.response.headers), status == _THROTTLED
        return EngineUnavailable(f"{url} answered {status}: {said}", retry_after=wait, throttled=throttled)
    return EngineRejected(f"{url} refused the request ({status}): {said}", reason="request")


def _said(error: openai.APIStatusError) -> str:
    """The endpoint's own message: `str(error)` has it in a form that differs between versions of the client."""
    return _message(error.body) or error.response.reason_phrase


def _message(body: Any, depth: int = 0) -> str:
    """The words in an error body: a text, an object that holds one, or a list of such objects."""
    match body:
        case str():
            return body
        case [first, *_] if depth < _DEEPEST:
            return _message(first, depth + 1)
        case Mapping() if depth < _DEEPEST:
            said = next((said for name in _SAID_IN if (said := _message(body.get(name), depth + 1))), "")
            where = body.get("loc")
            return f"{'.'.join(map(str, where))}: {said}" if said and isinstance(where, list) else said
    return ""


def line(said: str) -> str:
    """The beginning of what was said, on one line and without what would move a terminal's cursor."""
    shown = "".join(letter if letter.isprintable() else " " for letter in said[: _LONGEST_SAID * 10])
    return " ".join(shown.split())[:_LONGEST_SAID]


def _cause(error: BaseException) -> str:
    """The innermost reason, which names the host, the port or the certificate."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error) or type(error).__name__
    if "CERTIFICATE" in said.upper():
        return f"{said}; if the certificate is good, name the trusted ones in SSL_CERT_FILE"
    return said


def _retry_after(headers: Headers) -> float | None:
    """Seconds to wait as the endpoint asks: milliseconds, seconds, or an HTTP date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time())
        except ValueError:
            continue
    return None
