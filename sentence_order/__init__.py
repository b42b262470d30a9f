"""Train, evaluate and use BERT-based sentence ordering models.

`SentenceOrderer` is imported on first use, so that `--help` and configuration errors stay fast.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_order.inference.orderer import SentenceOrderer

try:
    __version__ = version("sentence-order")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "unknown"

__all__ = ["SentenceOrderer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "SentenceOrderer":
        from sentence_order.inference.orderer import SentenceOrderer

        return SentenceOrderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
