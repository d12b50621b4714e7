"""What an endpoint's failure means: asked again, never again, and in which words, without a secret in them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from time import time

import openai
from httpx2 import ConnectTimeout, Headers, Response

from decider.errors import EngineError, EngineRejected, EngineUnavailable

_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"})
_AGAIN = frozenset({408, 409, 425, 429})
_SECRETS = re.compile(r"(?:\bsk-|\bBearer\s+)[^\s\"',]{6,}")
_EXCERPT = 80


def fault_of(error: openai.OpenAIError, *, url: str, model: str, key: str | None) -> EngineError:
    """Return the `EngineError` that an error of the openai client stands for, by its type and status alone."""
    match error:
        case openai.APITimeoutError() if not isinstance(error.__cause__, ConnectTimeout):
            return EngineUnavailable(f"{url} did not answer in time")
        case openai.APIConnectionError():
            # A refused connection and an unknown host arrive as time-outs of the connection, too.
            return EngineUnavailable(f"{url} cannot be reached: {scrub(_cause(error), key)}")
        case openai.APIStatusError():
            return _status(error, url=url, model=model, key=key)
    return EngineUnavailable(f"{url} gave an answer that the client could not use: {scrub(str(error), key)}")


def unreadable(response: Response, key: str | None) -> EngineUnavailable:
    """Return the error for a reply with a good status that is not a completion: a login page, an error body."""
    kind = response.headers.get("content-type", "nothing said of its type")
    start = scrub(response.text[: _EXCERPT * 4], key)[:_EXCERPT]
    return EngineUnavailable(f"{response.url} answered {response.status_code} with {kind}, not a completion: {start!r}")


def scrub(text: str, key: str | None) -> str:
    """Return `text` without the key itself and without anything that looks like one."""
    if key and len(key) > 5:
        text = text.replace(key, "[key]")
    return _SECRETS.sub("[key]", text)


def _status(error: openai.APIStatusError, *, url: str, model: str, key: str | None) -> EngineError:
    status, said = error.status_code, scrub(_said(error), key)
    if error.code in _QUOTA or error.type in _QUOTA:
        return EngineRejected(f"{url} says that the quota is used up; look at its billing page: {said}", reason="quota")
    if status in (401, 403):
        return EngineRejected(f"{url} refused the key ({status}): {said}", reason="auth")
    if status == 404:
        return EngineRejected(f"{url} knows no model {model!r}, or the path is wrong (404): {said}", reason="model")
    if status in _AGAIN or status >= 500:
        return EngineUnavailable(f"{url} answered {status}: {said}", retry_after=_retry_after(error.response.headers))
    return EngineRejected(f"{url} refused the request ({status}): {said}", reason="request")


def _said(error: openai.APIStatusError) -> str:
    """The endpoint's own message: `str(error)` has it in a form that differs between versions of the client."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    return str(said or error.response.reason_phrase)[:300]


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
