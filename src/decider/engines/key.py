"""The key of an endpoint: read from the one variable that the spec names, and shown to nobody."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from decider.errors import EngineRejected
from decider.spec import Asked

_NONE = "none"
"""What is sent to an endpoint that needs no key: the client insists on one."""

_LOOKS_LIKE_ONE = re.compile(r"(?:\bsk-|\bBearer\s+)[^\s\"',]{6,}")
_SHORTEST = 6
"""A shorter one is a placeholder such as `none`, and would be found inside ordinary words."""

_HEADER = re.compile("auth|key|token|secret", re.IGNORECASE)
"""In the name of a header that holds one, whatever the provider calls it."""


class Key:
    """A secret whose value no `repr`, log or traceback shows, not even one that shows local variables."""

    __slots__ = ("_also", "_value")

    def __init__(self, value: str = _NONE, *also: str) -> None:
        self._value = value
        self._also = also

    @classmethod
    def of(cls, asked: Asked) -> Key:
        """Read the key when it is needed; raises `EngineRejected` where the endpoint needs one that is not there."""
        name = asked.key_variable
        if name is None:
            return cls()
        key = cls(os.environ.get(name, "").strip())
        if not key._value:
            raise EngineRejected(
                f"the environment variable {name} is not set, and {asked.url} needs a key; export {name}=…, "
                f"or point base_url at an endpoint that needs none",
                reason="auth",
            )
        key.check(name)
        return key

    def check(self, place: str) -> None:
        """Raise `EngineRejected` for a value that no header can hold; `place` is where it stands."""
        if not self._value.isascii() or not self._value.isprintable():
            raise EngineRejected(f"the key in {place} holds a character that no key has; copy it again", reason="auth")

    def sent(self, headers: Mapping[str, str]) -> Key:
        """Return the key with what a request really held: some clients get a new one for each."""
        return Key(self._value, *(value.split(" ")[-1] for name, value in headers.items() if _HEADER.search(name)))

    def reveal(self) -> str:
        """The value, for the client alone."""
        return self._value

    def scrub(self, text: str) -> str:
        """Return `text` without the key itself and without anything that looks like one."""
        for value in (self._value, *self._also):
            if len(value) >= _SHORTEST:
                text = text.replace(value, "[key]")
        return _LOOKS_LIKE_ONE.sub("[key]", text)

    def __repr__(self) -> str:
        return "Key(…)"
