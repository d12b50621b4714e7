"""Every key of a spec, as Pydantic models: what it means, what it may be, and what holds without it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from decider.spec.values import Answer, Bytes, Flag, Number, Options, Params, Seconds, Text, Whole, mistake, shown

OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"
OPENAI_KEY = "OPENAI_API_KEY"
FORMAT = 1
"""The version of the file format that is read."""

InlineType = Literal["choice", "bool", "scale", "tags", "text", "number", "integer", "date"]
Mode = Literal["prompt", "finetuned", "cascade"]
Structure = Literal["schema", "tools", "json", "md_json"]
Role = Literal["prompt", "finetuned"]
"""The section of a spec that says what answers."""

_WITH_OPTIONS = frozenset({"choice", "tags", "scale", "integer", "bool"})
_WITH_BOUNDS = frozenset({"scale", "tags", "text", "number", "integer"})
_COUNTED = frozenset({"tags", "text"})
SYNONYMS = {
    "str": "text", "string": "text", "int": "integer", "float": "number", "double": "number", "boolean": "bool",
    "enum": "choice", "category": "choice", "select": "choice", "literal": "choice", "list": "tags", "set": "tags",
    "labels": "tags", "multi": "tags", "rating": "scale", "datetime": "date",
}  # fmt: skip

Phrase: TypeAlias = Annotated[str, Text()]
Note: TypeAlias = Annotated[str, Text(empty=True)]
Count: TypeAlias = Annotated[int, Whole(1)]
Share: TypeAlias = Annotated[float, Number(0, 1, strict=True)]
Switch: TypeAlias = Annotated[bool, Flag()]
ClassName: TypeAlias = Annotated[
    str,
    Text(
        pattern=r"[^:]+\.py:[A-Za-z_]\w*",
        expected="a class in a Python file beside the spec",
        remedy="write FILE.py:CLASS, such as `schema.py:Triage`",
    ),
]


def _asked_at(url: str) -> str:
    try:
        parts = urlsplit(url)
        there = parts.hostname is not None and parts.port != 0
    except ValueError:
        there = False
    if not there:
        raise mistake("is no URL that can be asked", "write it like http://127.0.0.1:8000/v1")
    return url


Url: TypeAlias = Annotated[
    str,
    Text(
        pattern=r"https?://[^\s/@?#]+(?:[/?#]\S*)?",
        expected="a URL without user or password",
        remedy="begin it with http:// or https://; a key belongs in the variable that `api_key_env` names",
        secret=True,
    ),
    AfterValidator(_asked_at),
]

Variable: TypeAlias = Annotated[
    str,
    Text(
        pattern="[A-Za-z_][A-Za-z0-9_]*",
        expected="the name of an environment variable",
        remedy="write its name, such as OPENAI_API_KEY; the key itself never stands in a spec",
        secret=True,
    ),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class InlineField(_Section):
    """One field: with a type where it is declared here, without one where a class declares it."""

    type: InlineType | None = Field(None, description="What the answers are; choice when options are given.")
    description: Note = Field("", description="What the field means, in the words of the domain.")
    options: Annotated[tuple[tuple[str | int | bool, str], ...], Options()] = Field(
        (), description="The answers: a list, or a mapping of each answer to what it means."
    )
    min: Annotated[float, Number()] | None = Field(
        None, description="The least number, level, length of the text, or count of tags."
    )
    max: Annotated[float, Number()] | None = Field(
        None, description="The greatest number, level, length of the text, or count of tags."
    )
    optional: Switch = Field(False, description="Whether there may be no answer.")

    @property
    def kind(self) -> InlineType | None:
        """The type, which is `choice` where only options are given."""
        return self.type or ("choice" if self.options else None)

    @model_validator(mode="after")
    def _agree(self) -> InlineField:
        kind, bounds = self.kind, {"min": self.min, "max": self.max}
        given = [(end, bound) for end, bound in bounds.items() if bound is not None]
        if self.min is not None and self.max is not None and self.min > self.max:
            raise mistake(f"is more than max, which is {self.max:g}", "exchange them", at=("min",))
        if kind is None:
            return self
        if self.options and kind not in _WITH_OPTIONS:
            raise mistake(f"a field of type {kind} has no options", "write `type: choice`", at=("options",))
        if kind in ("choice", "tags") and not self.options:
            raise mistake(f"a field of type {kind} needs options", "write options: [first, second]", at=("type",))
        if given and (kind not in _WITH_BOUNDS or (self.options and kind != "tags")):
            because = "with options" if kind in _WITH_BOUNDS else f"of type {kind}"
            raise mistake(f"a field {because} has no {given[0][0]}", "remove it", at=(given[0][0],))
        for end, bound in given:
            if kind != "number" and not bound.is_integer():
                raise mistake(f"expected a whole number, found {bound:g}", at=(end,))
            if kind in _COUNTED and bound < 0:
                raise mistake(f"must be at least 0, found {bound:g}", at=(end,))
        return self


def _short(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value in get_args(InlineType):
        return {"type": value}
    meant = SYNONYMS.get(value.lower())
    remedy = f"did you mean `{meant}`?" if meant else "to describe the field, write {description: …}"
    raise mistake(f"expected a type ({', '.join(get_args(InlineType))}) or a mapping, found {shown(value)}", remedy)


FieldEntry: TypeAlias = Annotated[InlineField, BeforeValidator(_short, json_schema_input_type=InlineType | InlineField)]


def _form(value: Any) -> str | None:
    # Pydantic asks this of the raw value, and of the model it has become when that is dumped.
    return "<text>" if isinstance(value, str) else "<mapping>" if isinstance(value, Mapping | BaseModel) else None


def _either(expected: str) -> Discriminator:
    return Discriminator(_form, custom_error_type="form", custom_error_message=expected)


class Examples(_Section):
    """Examples that the prompt shows."""

    file: Phrase = Field(description="A JSONL file of examples, beside the spec.")
    count: Count = Field(6, description="How many of them a prompt shows.")
    select: Literal["first", "diverse", "similar"] = Field("first", description="How they are chosen.")


class Price(_Section):
    """What an endpoint charges, in dollars for a million tokens."""

    input: Annotated[float, Number(0)] = Field(description="For a million tokens of input.")
    output: Annotated[float, Number(0)] = Field(description="For a million tokens of output.")
    cached: Annotated[float, Number(0)] | None = Field(
        None, description="For a million tokens of input that the endpoint had cached; as other input where left out."
    )


class Asked(_Section):
    """What is said of any model behind an endpoint."""

    model: Phrase | None = Field(None, description="The model's name at the endpoint.")
    base_url: Url | None = Field(None, description="Any OpenAI-compatible endpoint; OpenAI's own where it is left out.")
    api_key_env: Variable | None = Field(
        None,
        description="The environment variable that holds the key; OPENAI_API_KEY for OpenAI's own host, else none.",
    )
    structure: Structure = Field(
        "schema", description="How the endpoint is made to keep to the schema; schema is its native strict mode."
    )
    params: Annotated[dict[str, Any], Params()] = Field(
        default_factory=dict, description="Further parameters of the request, such as reasoning_effort."
    )
    price: Price | None = Field(None, description="What the endpoint charges, where that is not known by itself.")
    context: Count | None = Field(None, description="How many tokens the model takes in, where that is not known.")

    @property
    def url(self) -> str:
        """The endpoint, OpenAI's own where none is named."""
        return self.base_url or OPENAI_URL

    @property
    def is_openai(self) -> bool:
        """Whether the endpoint is OpenAI's own, in whichever region."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" and f".{parts.hostname}".endswith(f".{OPENAI_HOST}")

    @property
    def key_variable(self) -> str | None:
        """The environment variable that holds the key, or None where no key is sent."""
        return self.api_key_env or (OPENAI_KEY if self.is_openai else None)


class Prompt(Asked):
    """The prompt mode: which endpoint answers, and how it is asked."""

    engine: Literal["chat", "decisions"] = Field("chat", description="Chat completions, or a decision endpoint.")
    examples: Examples | None = Field(None, description="Examples that the prompt shows.")
    samples: Annotated[int, Whole(1, 100)] = Field(1, description="How many answers are drawn; they vote.")
    reask: Annotated[int, Whole(0, 10)] = Field(1, description="How often an answer that does not fit is asked again.")


class LabelAnswer(_Section):
    """A model that answers with the bare label of one field."""

    label: Phrase = Field(description="The path of the field.")


class Messages(_Section):
    """The words that a model tuned elsewhere was trained on."""

    system: Phrase | None = Field(None, description="A text file with its system message, beside the spec.")
    user: Literal["text", "json"] = Field("text", description="The user message: the bare text, or the input as JSON.")
    answer: Annotated[
        Annotated[Literal["json", "tool"], Tag("<text>")] | Annotated[LabelAnswer, Tag("<mapping>")],
        _either("json, tool or {label: FIELD}"),
    ] = Field("json", description="How it answers: a JSON object, a tool call, or the label of one field.")

    @property
    def label(self) -> str | None:
        """The field whose bare label is the answer, or None where the answer is an object."""
        return self.answer.label if isinstance(self.answer, LabelAnswer) else None


class Finetuned(Asked):
    """The fine-tuned mode: the model that was trained on the task's own rows."""

    engine: Literal["local", "chat"] = Field(
        "local", description="A model folder on this machine, or a tuned model behind a chat endpoint."
    )
    model: Phrase | None = Field(None, description="The model folder, or the model's name at the endpoint.")
    base_url: Url | None = Field(
        None, description="The endpoint of engine chat; that of the prompt mode, with its key, where it is left out."
    )
    messages: Messages | None = Field(None, description="How a model tuned elsewhere is asked; for engine chat only.")

    @model_validator(mode="after")
    def _agree(self) -> Finetuned:
        for key in sorted(self.model_fields_set - {"engine", "model"}):
            if self.engine != "chat":
                raise mistake("is for a model behind an endpoint", "write `engine: chat`, or remove it", at=(key,))
        return self


class Critical(_Section):
    """An answer that must not be missed."""

    value: Annotated[str | int | bool, Answer()] = Field(description="The answer.")
    recall: Share = Field(description="The share of its true cases that must be found, between 0 and 1.")


class Accept(_Section):
    """What is promised of the answers that are accepted."""

    target: Share | None = Field(None, description="The accuracy of accepted answers, between 0 and 1.")
    level: Share = Field(0.05, description="The chance that the promise does not hold.")
    per: Literal["record", "field"] = Field("record", description="Whether the promise is about records or fields.")
    critical: dict[str, Critical] = Field(default_factory=dict, description="By field, an answer not to be missed.")

    @model_validator(mode="after")
    def _agree(self) -> Accept:
        if self.target is None and not self.critical:
            raise mistake("promises nothing", "write `target: 0.97`, or thresholds such as {category: 0.8}")
        return self


def _accept_form(value: Any) -> str | None:
    # `level` alone is a threshold: fields are often called so, and a level promises nothing without a target.
    if isinstance(value, Accept):
        return "<target>"
    if not isinstance(value, Mapping):
        return None
    return "<target>" if {"target", "critical", "per"} & set(value) else "<thresholds>"


class Retry(_Section):
    """What is done when an endpoint does not answer."""

    attempts: Annotated[int, Whole(1, 100)] = Field(
        5, description="How often an endpoint that is unavailable is tried for one decision, at most."
    )
    deadline: Seconds = Field(60.0, description="The time for one decision.", json_schema_extra={"default": "60s"})
    passes: Annotated[int, Whole(1, 100)] = Field(3, description="How often a run goes over the rows that failed.")


class Limits(_Section):
    """What may be spent."""

    usd: Annotated[float, Number(0, strict=True)] | None = Field(None, description="Dollars.")
    tokens: Count | None = Field(None, description="Tokens, in and out.")
    calls: Count | None = Field(None, description="Calls to endpoints.")


class Budget(_Section):
    """What may be spent, on one decision and on a run."""

    decision: Limits | None = Field(None, description="For one decision.")
    run: Limits | None = Field(None, description="For a whole run.")


class Cache(_Section):
    """Where answers of endpoints are kept, so that the same question is paid once."""

    folder: Phrase = Field(".decider/cache", description="The folder.")
    ttl: Seconds = Field(30 * 86400.0, description="How long an answer is kept.", json_schema_extra={"default": "30d"})
    size: Bytes = Field(1e9, description="The most that is kept.", json_schema_extra={"default": "1GB"})


class Log(_Section):
    """Where decisions and corrections are recorded."""

    folder: Phrase = Field(".decider/log", description="The folder.")
    inputs: Literal["text", "hash", "none"] = Field("text", description="What is kept of inputs.")
    keep: Seconds | None = Field(None, description="How long records are kept, such as 90d; for ever where left out.")
    fsync: Switch = Field(False, description="Whether each record is on disk, safe from a power cut, before it counts.")


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise mistake(f"is not a regular expression: {error}", "see the syntax of Python's re module") from error
    return pattern


class _Function(Text):
    """A function of the author's, named in a file beside the spec, or given as it is from Python."""

    def _read(self, value: Any) -> Any:
        return value if callable(value) and not isinstance(value, type) else super()._read(value)

    def _write(self, value: Any) -> Any:
        return value if isinstance(value, str) else getattr(value, "__qualname__", type(value).__qualname__)


class Redact(_Section):
    """What is taken out of inputs before anything else sees them."""

    kinds: tuple[Literal["email", "phone", "card", "iban", "ip"], ...] = Field(
        ("email", "phone", "card"), description="What is taken out."
    )
    region: (
        Annotated[
            str,
            Text(pattern="[A-Z]{2}", expected="a country as two capital letters", remedy="write US, DE or GB"),
        ]
        | None
    ) = Field(None, description="The country whose phone numbers are found as they are dialled there.")
    patterns: dict[
        Annotated[
            str,
            Text(
                pattern="[A-Za-z][A-Za-z0-9_-]*",
                expected="a name of letters, digits, - and _",
                remedy="name it like `ticket`, which leaves [TICKET]",
            ),
        ],
        Annotated[Phrase, AfterValidator(_regex)],
    ] = Field(default_factory=dict, description="More to take out: a name for each regular expression.")
    function: (
        Annotated[
            str | Callable[[str], str],
            _Function(
                pattern=r"[^:]+\.py:[A-Za-z_]\w*",
                expected="a function in a Python file beside the spec",
                remedy="write FILE.py:FUNCTION, such as `scrub.py:mask`",
            ),
        ]
        | None
    ) = Field(None, description="A function of your own, as FILE.py:FUNCTION: it takes a text and returns one.")
    send: Literal["redacted", "original"] = Field("redacted", description="What endpoints see.")

    @model_validator(mode="after")
    def _agree(self) -> Redact:
        if not self.kinds and not self.patterns and self.function is None:
            raise mistake("takes nothing out", "write, for example, [email, phone]", at=("kinds",))
        if self.region is not None and "phone" not in self.kinds:
            raise mistake("is for phone numbers", "add phone to kinds, or remove it", at=("region",))
        return self


class Columns(_Section):
    """The columns of data files whose names differ from the fields'."""

    input: (
        Annotated[
            Annotated[Phrase, Tag("<text>")] | Annotated[dict[str, Phrase], Tag("<mapping>")],
            _either("a column, or a mapping of field to column"),
        ]
        | None
    ) = Field(default=None, description="The column of the text, or by input field its column.")
    output: dict[str, Phrase] = Field(default_factory=dict, description="By output field, the column of its truth.")
    id: Phrase | None = Field(default=None, description="The column that identifies a row.")


class Data(_Section):
    """How data files of this task are laid out."""

    columns: Columns = Field(default_factory=Columns.model_construct, description="Columns named unlike their fields.")
    group: Phrase | None = Field(None, description="The column whose rows belong on the same side of a split.")
    time: Phrase | None = Field(None, description="The column with the time of a row.")


def _steps(steps: tuple[str, ...]) -> tuple[str, ...]:
    if not steps:
        raise mistake("is empty", "write, for example, [finetuned, prompt]")
    for position, step in enumerate(steps):
        if step in steps[:position]:
            raise mistake(f"{step} stands twice", "keep one of them", at=(position,))
        if step == "review" and position < len(steps) - 1:
            raise mistake("review must be the last step", "move it to the end", at=(position,))
    if steps == ("review",):
        raise mistake("review needs a step before it", "write, for example, [finetuned, review]")
    return steps


class Spec(_Section):
    """A structured decision: what is decided, and how."""

    format: Annotated[int, Whole(FORMAT, FORMAT)] = Field(FORMAT, description="The version of this file format.")
    name: Annotated[
        str,
        Text(
            pattern="[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
            expected="at most 64 letters, digits, - and _",
            remedy="write it like `ticket-triage`",
        ),
    ] = Field(description="The name of the task, in records and reports.")
    version: Count = Field(1, description="The author's version of the decision.")
    output: ClassName | None = Field(None, description="The class of the answer, as FILE.py:CLASS beside the spec.")
    input: (
        Annotated[
            Annotated[ClassName, Tag("<text>")] | Annotated[dict[str, FieldEntry], Tag("<mapping>")],
            _either("FILE.py:CLASS, or a mapping of fields"),
        ]
        | None
    ) = Field(None, description="The class of the input, or its fields; one text where it is left out.")
    instructions: Phrase = Field("", description="What is decided, as you would tell a new colleague.")
    fields: dict[str, FieldEntry] = Field(
        default_factory=dict, description="The fields of the answer by dotted path; beside `output` they only describe."
    )
    mode: Mode = Field("prompt", description="What answers: the prompt, the fine-tuned model, or both in turn.")
    prompt: Prompt = Field(default_factory=Prompt.model_construct, description="The prompt mode.")
    finetuned: Finetuned = Field(default_factory=Finetuned.model_construct, description="The fine-tuned mode.")
    accept: (
        Annotated[
            Annotated[Accept, Tag("<target>")]
            | Annotated[dict[str, Annotated[float, Number(0, 1)]], Tag("<thresholds>")],
            Discriminator(
                _accept_form,
                custom_error_type="form",
                custom_error_message="a mapping with `target`, or of field to threshold",
            ),
        ]
        | None
    ) = Field(None, description="Which answers are accepted: a promised accuracy, or a threshold by field.")
    cascade: Annotated[tuple[Literal["finetuned", "prompt", "review"], ...], AfterValidator(_steps)] | None = Field(
        None, description="The steps of mode cascade; each gets what the one before did not accept."
    )
    retry: Retry = Field(default_factory=Retry.model_construct, description="How long one decision is tried for.")
    budget: Budget | None = Field(None, description="What may be spent.")
    cache: Cache | None = Field(None, description="Where answers are kept; nowhere where it is left out.")
    log: Log | None = Field(None, description="Where decisions are recorded; nowhere where it is left out.")
    redact: Redact | None = Field(None, description="What is taken out of inputs before anything else sees them.")
    data: Data = Field(default_factory=Data.model_construct, description="How data files are laid out.")

    def asked(self, role: Role) -> Asked:
        """What is said of the model of `role`; a tuned one stands at the prompt's endpoint, if no other."""
        if role == "prompt":
            return self.prompt
        tuned, update = self.finetuned, dict[str, Any]()
        if tuned.base_url is None:
            key = tuned.api_key_env or self.prompt.api_key_env
            update = {"base_url": self.prompt.base_url, "api_key_env": key}
        if tuned.messages is not None and tuned.messages.answer == "tool":
            update["structure"] = "tools"
        return tuned.model_copy(update=update) if update else tuned

    @model_validator(mode="after")
    def _agree(self) -> Spec:
        if self.mode == "cascade" and self.cascade is None:
            raise mistake("mode cascade has no steps", "add `cascade: [finetuned, prompt]`", at=("mode",))
        return self
