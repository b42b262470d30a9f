"""Names of other libraries are answered with keys that exist."""

import re

import pytest

from sentence_order.config.aliases import ALIASES, VALUES, find_meant
from sentence_order.config.cli import compose
from sentence_order.config.help import describe_groups
from sentence_order.config.keys import dotted_keys
from sentence_order.config.parsing import options_of
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

KEYS = {key for schema in SCHEMAS.values() for key in dotted_keys(schema)}


def test_answers_name_keys_and_options_that_exist() -> None:
    for answer in ALIASES:
        named = re.findall(r"(?<![\w/-])([a-z_]+(?:\.\w+)*)=([a-z_]*)", answer)
        assert {key for key, _ in named} <= KEYS, answer
        groups = {key: value for key, value in named if key in describe_groups("train") and value}
        assert all(value in options_of(key) for key, value in groups.items()), answer
        assert set(re.findall(r"\b(?:optim|trainer|data|freeze|model)\.\w+", answer)) <= KEYS, answer
    assert VALUES.keys() <= KEYS


def test_every_command_answers_every_name_that_is_no_key_of_its_own() -> None:
    for schema in SCHEMAS.values():
        keys = dotted_keys(schema)
        for names in ALIASES.values():
            for name in set(names.split()) - set(keys):
                answer = find_meant(name, "3", keys)
                assert answer, name
                if used := re.match(r"use ([\w.]+)=", answer):
                    assert used[1] in keys


@pytest.mark.parametrize("word", ["lr=1e-4", "+lr=1e-4", "++lr=1e-4", "trainer.learning_rate=1e-4", "--lr=1e-4"])
def test_a_name_is_answered_wherever_it_is_typed(word: str) -> None:
    with pytest.raises(UserError, match=r"use optim\.lr=1e-4; that of set layers and heads is optim\.head_lr"):
        compose("train", [word])


@pytest.mark.parametrize(
    ("name", "words", "answer"),
    [
        ("train", ["optim.learning_rate=1e-4"], "use optim.lr=1e-4"),
        ("train", ["model.optimizer.lr=1"], "use optim.lr=1"),
        ("train", ["model.optimizer._target_=torch.optim.SGD"], "AdamW is the only optimizer"),
        ("train", ["--epochs", "3"], "--epochs: keys have no dashes; use trainer.epochs=3"),
        ("train", ["--trainer.epochs=3"], "--trainer.epochs: keys have no dashes; write trainer.epochs=3"),
        ("train", ["--model_name_or_path", "bert-base-uncased"], "use encoder.name=bert-base-uncased;"),
        ("train", ["--per-device-train-batch-size=8"], "use trainer.batch_tokens=N; it counts tokens, "),
        ("train", ["--resume", "runs/a b"], "write 'resume=runs/a b'"),
        ("train", ["--fp16", "--bf16"], "use precision=fp16"),
        ("train", ["fp16=false"], "leave it out"),
        ("train", ["trainer.precision=bf16-mixed"], "use precision=bf16"),
        ("train", ["callbacks.early_stopping.patience=3"], "use trainer.patience=3"),
        ("train", ["logger=wandb"], "TensorBoard files and metrics.jsonl are always written"),
        ("train", ["trainer.devices=2"], "torchrun --nproc_per_node=N"),
        ("train", ["load_in_8bit=true"], "it is not available"),
        ("train", ["dataset_name=owner/name"], "use data=hub data.hub_id=owner/name"),
        ("evaluate", ["ckpt_path=run"], "use checkpoint=run"),
        ("predict", ["batch_size=8"], "use batch_tokens=N; it counts tokens, "),
        ("predict", ["learning_rate=8"], "optim.lr is a key of another command"),
        ("predict", ["trainer.epochs=8"], "unknown key 'trainer.epochs'; it is one of train"),
        ("train", ["precision=16-mixed"], "precision: 16-mixed is not valid; did you mean 'fp16'? Accepted: auto, "),
    ],
)
def test_names_are_answered_in_every_command(name: str, words: list[str], answer: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(name, words)
    assert answer in str(caught.value)
