"""What a run tells its user to type next."""

from sentence_order.config import CacheConfig, CacheDtype, DataConfig, Precision, Source, TextLayout, TrainConfig
from sentence_order.training.run import _overrides


def test_evaluation_is_told_what_is_not_as_by_default() -> None:
    assert _overrides(TrainConfig(data=DataConfig(Source.jsonl))) == "data=jsonl"
    config = TrainConfig(
        data=DataConfig(Source.text, test="a test.txt", sentence_columns=["a", "b"], text_layout=TextLayout.paragraphs),
        cache=CacheConfig(dir="./kept", dtype=CacheDtype.float16, max_gb=1),
        precision=Precision.fp32,
        seed=3,
    )
    assert _overrides(config) == (
        "data=text 'data.test=a test.txt' 'data.sentence_columns=[a,b]' data.text_layout=paragraphs "
        "cache.dir=./kept cache.dtype=float16 precision=fp32 seed=3"
    )
