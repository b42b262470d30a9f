"""Commands that a run tells its user to type do what they say."""

import shlex
from typing import Any

import pytest

from sentence_order.cli import compose
from sentence_order.commands import as_override, evaluate_overrides, shell, train_overrides
from sentence_order.config import leaves


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["data=jsonl", "data.train='a b,c=d.jsonl'", "freeze=bottom_half", "seed=3"],
        ["experiment=naon", "data.limit_train=7", "trainer.max_steps=5", "optim.ema=0.5"],
        ["freeze=gradual", "encoder=tiny", "data.sentence_columns=[a,b]", "data=csv", "data.text_column='null'"],
        ["data=rocstories", "cache=./kept", "debug=smoke", "precision=fp32"],
    ],
)
def test_a_run_is_made_again_by_its_command(overrides: list[str]) -> None:
    config = compose("train", overrides)
    typed = shlex.split(shell("train", *train_overrides(config)))[3:]
    again, own = leaves(compose("train", typed)), leaves(config)
    assert {key for key in own if own[key] != again[key]} <= {"output_dir"}


def test_evaluation_is_told_what_is_not_as_by_default() -> None:
    told = evaluate_overrides(
        compose(
            "train",
            [
                *("data=text", "data.test=a test.txt", "data.text_layout=paragraphs", "optim.lr=1", "cache=./kept"),
                *("cache.dtype=float16", "cache.max_gb=1", "precision=fp32", "seed=3"),
            ],
        )
    )
    assert told == [
        *(
            "data=text",
            "data.test=a test.txt",
            "data.text_layout=paragraphs",
            "cache.dir=./kept",
            "cache.dtype=float16",
        ),
        *("precision=fp32", "seed=3"),
    ]
    compose("evaluate", ["checkpoint=x", *told])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ("", '""'),
        ("a,b", '"a,b"'),
        ("12", '"12"'),
        (["a", "0:all"], '[a,"0:all"]'),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert as_override("key", value) == f"key={text}"
