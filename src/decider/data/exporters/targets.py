"""Where a dataset can be exported to: for each trainer and provider the shape of a line, the files, and the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any, Literal

from decider.data.shapes import ALPACA, BEDROCK, CHAT, PROMPT_COMPLETION, SHAREGPT, VERTEX, Shape
from decider.engines.lifecycle import TUNED_END, TUNING_END
from decider.errors import DataError

Form = Literal["lines", "rows", "csv", "parquet", "labels", "folder"]
"""What the files of a target hold.

`lines` are what a chat model is asked and answers, in a shape; `rows` are those of a dataset as it is, `csv` and
`parquet` the same as columns, `labels` a text with one label, and `folder` is Parquet with a card.
"""

Sides = Literal["train", "validation", "test"]

TRAINED: tuple[Sides, ...] = ("train", "validation")
ALL: tuple[Sides, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a target refuses: more or fewer than this, of the training file where nothing else is said.

    Tokens are estimated, on the low side: what is refused here is too long. Of every shape it is required besides that
    there is at most one system message and it is the first, that user and assistant alternate and the assistant ends,
    that no text is empty, that no line has another key, and that all lines of a file are of the same shape.
    """

    least: int = 1
    most: int | None = None
    most_validation: int | None = None
    size: int | None = None
    """Bytes of a file."""
    tokens: int | None = None
    """Tokens of a line."""
    reserved: tuple[str, ...] = ()
    """What may stand nowhere in what is asked."""

    def said(self) -> str:
        """Return the rules that are not those of every target, in a few words."""
        parts = [
            f"at least {self.least} rows" if self.least > 1 else "",
            f"at most {self.most:,} rows" if self.most else "",
            f"at most {self.most_validation:,} validation rows" if self.most_validation else "",
            f"at most {_size(self.size)} a file" if self.size else "",
            f"at most {self.tokens:,} tokens a row" if self.tokens else "",
            f"without {' '.join(self.reserved)}" if self.reserved else "",
        ]
        return ", ".join(part for part in parts if part)

    def problem(self, rows: int, size: int, *, trained: bool) -> str | None:
        """Return what is wrong with a file of so many rows and bytes, or None; validation rows are not `trained` on."""
        most = self.most if trained or self.most_validation is None else self.most_validation
        if trained and rows < self.least:
            return f"has {_rows(rows)}, and {self.least} is the least"
        if most is not None and rows > most:
            return f"has {_rows(rows)}, and {most:,} is the most; export fewer"
        if self.size is not None and size > self.size:
            return f"has {size:,} bytes, and {_size(self.size)} is the most; export fewer rows"
        return None


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _size(size: int) -> str:
    return f"{size // 1_000_000_000} GB" if size >= 1_000_000_000 else f"{size // 1_000_000} MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One trainer or provider.

    `shape` is there for the form `lines`. `names` holds the file of each side in a folder, `sides` those that are
    written where nothing else is asked for, `tools` says whether an answer may be a tool call there. `marked` files
    begin with the mark of UTF-8. `then` is what to do with the files, where OUT, FILE (of the first side) and NAME (of
    the task) stand for themselves, `advice` what else to know.
    """

    name: str
    form: Form = "lines"
    shape: Shape | None = None
    ending: str = ".jsonl"
    names: Mapping[str, str] = field(default_factory=lambda: {side: f"{side}.jsonl" for side in ALL})
    sides: tuple[Sides, ...] = TRAINED
    rules: Rules = Rules()
    tools: bool = False
    marked: bool = False
    foldered: bool = False
    """Whether it wants a folder with files of these names, and never one file."""
    entry: Mapping[str, Any] | None = None
    """What `dataset_info.json` says of each file beside its name."""
    then: str
    advice: tuple[str, ...] = ()

    def told(self, today: date) -> tuple[str, ...]:
        """Return what to know of the target on a day: its advice, and what its provider has announced to end."""
        return (*self.advice, *(_ends(today) if self.name == "openai" else ()))

    def to_json(self) -> dict[str, Any]:
        """Return its line of the table in JSON types."""
        return {
            "target": self.name,
            "shape": self.kept,
            "files": list(dict.fromkeys(self.names[side] for side in self.sides)),
            "rules": self.rules.said(),
            "next": self.then,
        }

    @property
    def kept(self) -> str:
        """What its files hold, by the name of the shape where they have one."""
        words = {"rows": "dataset rows", "csv": "CSV", "parquet": "Parquet", "labels": "CSV text,label"}
        return self.shape.name if self.shape is not None else words.get(self.form, "Parquet and a card")


def _ends(today: date) -> tuple[str, str]:
    same = ", ".join(name for name, target in TARGETS.items() if target.shape is CHAT and name != "openai")
    before = f"takes new fine-tuning jobs only from who has tuned before, and none after {TUNING_END}"
    jobs = before if today <= TUNING_END else f"takes no new fine-tuning jobs since {TUNING_END}"
    stop = "stop" if today < TUNED_END else "stopped"
    return (
        f"OpenAI {jobs}; other targets of this shape: {same}",
        f"models that were tuned from gpt-4o and gpt-4.1 {stop} answering on {TUNED_END}",
    )


def target_of(name: str) -> Target:
    """Return a target by its name; raises `DataError`, naming those that there are."""
    found = TARGETS.get(name.lower())
    if found is None:
        close = get_close_matches(name.lower(), TARGETS, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise DataError(f"there is no target {name!r}; {meant}targets: {', '.join(TARGETS)}")
    return found


def tooled() -> str:
    """Return the names of the targets that take tool calls."""
    return ", ".join(name for name, target in TARGETS.items() if target.tools)


_UPLOAD = "upload each file with purpose fine-tune, and start a job with their ids"
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
_MASKED = (
    "TRL: SFTConfig(assistant_only_loss=True), so that only answers are learned; where it says that the chat template "
    "is not training-compatible, take the target trl"
)

# The defaults of trl 1.16, llamafactory 0.9.5, axolotl 0.19, unsloth 2026.10 and mlx-lm 0.32, in their own code.
_CUT_BY_TRL = "without SFTConfig(max_length=N) TRL cuts rows after 1,024 tokens, and the answer stands last"
_CUT_BY_FACTORY = "without cutoff_len in its config LLaMA-Factory cuts rows to 2,048 tokens"

# Where each rule comes from stands behind it, as of November 2026. "Recalled" is what no page at hand confirmed.
TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="openai",
            shape=CHAT,
            # 10 rows and JSONL: developers.openai.com/api/docs/guides/supervised-fine-tuning; 512 MB: the reference of
            # files.create; 65,536 tokens a row of gpt-4o and gpt-4.1: recalled.
            rules=Rules(least=10, size=512_000_000, tokens=65_536),
            tools=True,
            then=_UPLOAD,
        ),
        Target(
            name="azure",
            shape=CHAT,
            # learn.microsoft.com/azure/ai-services/openai/how-to/fine-tuning: at least 10 rows, less than 512 MB, and a
            # byte-order mark; 65,536 tokens as at OpenAI: recalled.
            rules=Rules(least=10, size=512_000_000, tokens=65_536),
            tools=True,
            marked=True,
            then=_UPLOAD,
        ),
        Target(
            name="together",
            shape=CHAT,
            # docs.together.ai/docs/fine-tuning/data-preparation: one format a file. It says 100 GB, but the client
            # refuses more than 50.1 GiB: together 3.1, lib/constants.py.
            rules=Rules(size=53_794_465_382),
            tools=True,
            then="together files upload FILE, then together fine-tuning create --training-file ID --model MODEL",
        ),
        Target(
            name="fireworks",
            shape=CHAT,
            # docs.fireworks.ai/fine-tuning/fine-tuning-models: 3 to 3 million rows; one system message, the first.
            rules=Rules(least=3, most=3_000_000),
            tools=True,
            then="firectl dataset create ID FILE, then "
            "firectl supervised-fine-tuning-job create --dataset ID --base-model MODEL",
            advice=("Fireworks serves tuned models on dedicated deployments only",),
        ),
        Target(
            name="vertex",
            shape=VERTEX,
            # cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning, of Gemini 2.5 Flash: 1 GB,
            # 1 million rows, 5,000 of validation, 131,072 tokens a row.
            rules=Rules(most=1_000_000, most_validation=5_000, size=1_000_000_000, tokens=131_072),
            then="gcloud storage cp the files to a bucket, and start a supervised tuning job with their addresses",
            advice=("Google advises 100 rows or more",),
        ),
        Target(
            name="bedrock-nova",
            shape=BEDROCK,
            # docs.aws.amazon.com/nova/latest/userguide/fine-tune-prepare-data-understanding.html: where a prompt holds
            # a reserved word, the job fails; user first, assistant last.
            rules=Rules(reserved=("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")),
            then="aws s3 cp the files to a bucket, and start a model customization job with their addresses",
            advice=("AWS advises 100 rows or more; Nova 2 does not look at validation rows",),
        ),
        Target(
            name="trl",
            shape=PROMPT_COMPLETION,  # huggingface.co/docs/trl/dataset_formats: only the completion is learned
            then='load_dataset("json", data_files={"train": "FILE"}) for TRL\'s SFTTrainer',
            advice=(_CUT_BY_TRL,),
        ),
        Target(
            name="trl-chat",
            shape=CHAT,
            then='load_dataset("json", data_files={"train": "FILE"}) for TRL\'s SFTTrainer',
            # trl 1.16, chat_template_utils.py, get_training_chat_template: what it knows is compared as a text.
            advice=(_MASKED, _CUT_BY_TRL),
        ),
        Target(
            name="unsloth",
            shape=CHAT,
            then='load_dataset("json", data_files={"train": "FILE"}) for Unsloth\'s SFTTrainer',
            advice=(
                "use train_on_responses_only, and the chat template that the model is served with",
                "rows are cut after max_seq_length tokens, by default 2,048, and the answer stands last",
            ),
        ),
        Target(
            name="axolotl",
            shape=CHAT,  # docs.axolotl.ai/docs/dataset-formats/conversation.html
            tools=True,
            then="datasets: [{path: FILE, type: chat_template, field_messages: messages}] in the config",
            advice=(
                "roles_to_train: [assistant] is its default, so that only answers are learned",
                "without sequence_len in its config Axolotl drops rows of more than 512 tokens",
            ),
        ),
        Target(
            name="llama-factory",
            shape=SHAREGPT,  # github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md, of dataset_info.json as well
            foldered=True,
            entry={"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "system"}},
            then="in its config  dataset_dir: OUT  and  dataset: NAME_train",
            advice=(_CUT_BY_FACTORY,),
        ),
        Target(
            name="llama-factory-alpaca",
            shape=ALPACA,
            foldered=True,
            entry={"formatting": "alpaca", "columns": _ALPACA},
            then="in its config  dataset_dir: OUT  and  dataset: NAME_train",
            advice=(_CUT_BY_FACTORY,),
        ),
        Target(
            name="mlx",
            shape=CHAT,
            # github.com/ml-explore/mlx-lm/blob/main/mlx_lm/LORA.md: a folder with these names; --test wants the third.
            names={"train": "train.jsonl", "validation": "valid.jsonl", "test": "test.jsonl"},
            sides=ALL,
            # No tools: mlx-lm 0.32, tuner/datasets.py, gives the arguments of a call to the chat template as the text
            # that they are in the file, and so trains on JSON in JSON. tuner/trainer.py takes whole batches alone.
            foldered=True,
            then="mlx_lm.lora --train --data OUT --mask-prompt --model MODEL",
            advice=(
                "it wants as many rows in each file as a batch has, by default 4",
                "without max_seq_length in its config it cuts rows after 2,048 tokens, and the answer stands last",
            ),
        ),
        Target(
            name="setfit",
            form="labels",
            ending=".csv",
            names={side: f"{side}.csv" for side in ALL},
            # Without keep_default_na=False, datasets 5.2 reads texts and labels such as None, null and N/A as missing.
            then='load_dataset("csv", data_files={"train": "FILE"}, keep_default_na=False) for SetFit\'s Trainer',
            advice=(
                "SetFit is meant for 8 to 64 rows a label",
                "it saves its head with pickle: load only models that you trained yourself",
            ),
        ),
        Target(
            name="csv",
            form="csv",
            ending=".csv",
            names={side: f"{side}.csv" for side in ALL},
            sides=ALL,
            then="decider data import reads it back",
        ),
        Target(
            name="parquet",
            form="parquet",
            ending=".parquet",
            names={side: f"{side}.parquet" for side in ALL},
            sides=ALL,
            then="decider data import reads it back",
        ),
        Target(name="jsonl", form="rows", sides=ALL, then="every decider command takes it as DATA"),
        Target(
            name="datasets",
            form="folder",
            ending="",
            # huggingface.co/docs/hub/datasets-file-names-and-splits
            names={side: f"data/{side}-00000-of-00001.parquet" for side in ALL},
            sides=ALL,
            foldered=True,
            then='load_dataset("OUT"); complete the licence in README.md before you publish it',
        ),
    )
}
"""Every target by its name."""
