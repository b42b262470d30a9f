"""Names of other libraries are answered with keys that exist."""

import re

import pytest

from sentence_order.config.aliases import ALIASES, VALUES
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
    for command, schema in SCHEMAS.items():
        keys = dotted_keys(schema)
        names = {name for names in ALIASES.values() for name in names.split()}
        names |= {key for key in KEYS for own in keys if own.endswith(f".{key}") or key.endswith(f".{own}")}
        for name in names - set(keys):
            with pytest.raises(UserError, match=f"^unknown key '{name}'; (?!did you mean|it is one of)") as caught:
                compose(command, [f"{name}=3"])
            if used := re.search(r"; use '?([\w.]+)=", str(caught.value)):
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
        ("train", ["auto_find_batch_size=true"], "how large batches fit, with trainer.batch_tokens=auto"),
        ("predict", ["trainer.auto_scale_batch_size=power"], "training finds on CUDA how large batches fit, "),
        ("train", ["--resume", "runs/a b"], "write 'resume=runs/a b'"),
        ("train", ["--fp16", "--bf16"], "use precision=fp16"),
        ("train", ["fp16=false"], "leave it out"),
        ("train", ["output=x"], "unknown key 'output'; use output_dir=x"),
        ("train", ["text_column=a"], "use data.text_column=a"),
        ("train", ["delimiter=;"], "use 'data.delimiter=\";\"'"),
        ("train", ["data.sep=;"], "use 'data.delimiter=\";\"'"),
        ("predict", ["data.text_column=a"], "use text_column=a"),
        ("predict", ["data.sentence_columns=[a,b]"], "use 'sentence_columns=[a,b]'"),
        ("predict", ["data=csv"], "use format=csv"),
        ("predict", ["data=a.csv"], "use input=a.csv"),
        ("predict", ["model=x"], "use checkpoint=x"),
        ("predict", ["output_dir=x"], "use output=x"),
        ("predict", ["encoder.name=x"], "it is one of train"),
        ("predict", ["shuffle=false"], "it is always so"),
        ("evaluate", ["resume=x"], "use checkpoint=x"),
        ("evaluate", ["input=x"], "in evaluate data.test=x"),
        ("train", ["train=true"], "train also validates and tests"),
        ("train", ["train=a.jsonl"], "use data.train=a.jsonl data=FORMAT"),
        ("train", ["data.path=x"], "use data.train=x"),
        ("train", ["data.dir=x"], "use data.train=x"),
        ("train", ["data.dev=x"], "use data.validation=x"),
        ("train", ["dir=x"], "use output_dir=x"),
        ("train", ["paths.output_dir=x"], "use output_dir=x"),
        ("train", ["warmup_steps=0"], "use optim.warmup=0;"),
        ("train", ["resume_from_checkpoint=true"], "use resume=auto;"),
        ("train", ["ckpt_path=null"], "leave it out"),
        ("train", ["gpu=0"], "use device=cuda:0"),
        ("train", ["val_check_interval=0.25"], "use trainer.eval_every=N; in steps; accepted: integer greater than 0"),
        ("train", ["max_steps=-1"], "use trainer.max_steps=N; accepted: integer greater than 0"),
        ("train", ["-m", "lr=1e-4,1e-3"], "use optim.lr=1e-4,1e-3;"),
        ("train", ["monitor=val/tau"], "use trainer.metric=tau"),
        ("train", ["monitor=val_acc"], "use trainer.metric=VALUE; accepted: tau, "),
        ("train", ["freeze.encoder=true"], "use freeze=encoder"),
        ("train", ["encoder.frozen=true"], "use freeze=encoder"),
        ("train", ["frozen=6"], "use freeze.depth=6"),
        ("train", ["freeze.trainable=2"], "use freeze.depth=-2"),
        ("train", ["unfreeze=true"], "use freeze.depth=-N"),
        ("train", ["encoder.model=foo"], "use encoder.name=foo;"),
        ("train", ["encoder.pretrained=false"], "only encoder=tiny is random"),
        ("train", ["datamodule=rocstories"], "use data=rocstories"),
        ("train", ["greater_is_better=true"], "it follows from trainer.metric"),
        ("train", ["trainer.metric=val/tau"], "did you mean 'tau'? Accepted: "),
        ("train", ["trainer.precision=bf16-mixed"], "use precision=bf16"),
        ("train", ["callbacks.early_stopping.patience=3"], "use trainer.patience=3"),
        ("train", ["logger=wandb"], "TensorBoard files and metrics.jsonl are always written"),
        ("train", ["trainer.devices=2"], "torchrun --nproc_per_node=N"),
        ("train", ["load_in_8bit=true"], "it is not available"),
        (
            "train",
            ["trainer.workers=4"],
            "unknown key 'trainer.workers'; batches are made by the process that trains, on CUDA by a thread",
        ),
        ("train", ["dataloader_num_workers=4"], "batches are made by the process that trains"),
        ("train", ["dataset_name=owner/name"], "use data=hub data.hub_id=owner/name"),
        ("evaluate", ["ckpt_path=run"], "use checkpoint=run"),
        ("predict", ["batch_size=8"], "use batch_tokens=N; it counts tokens, "),
        ("predict", ["num_return_sequences=3"], "use top_k=3"),
        ("demo", ["server_port=8000"], "use port=8000"),
        ("demo", ["share=true"], "host=0.0.0.0 lets other machines reach the page"),
        ("predict", ["learning_rate=8"], "optim.lr is a key of train"),
        ("predict", ["trainer.epochs=8"], "trainer.epochs is a key of train"),
        ("train", ["precision=16-mixed"], "precision: 16-mixed is not valid; did you mean 'fp16'? Accepted: auto, "),
    ],
)
def test_names_are_answered_in_every_command(name: str, words: list[str], answer: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(name, words)
    assert answer in str(caught.value)
