"""Train, evaluate and use BERT-based sentence ordering models.

`SentenceOrderer` is imported on first use, so that `--help` and configuration errors stay fast.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_order.inference.orderer import SentenceOrderer


def installed_version(distribution: str) -> str:
    """The version of a distribution, or "unknown", as in a source tree that was never installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def version_text() -> str:
    """What `--version` prints; it imports none of the packages."""
    others = ", ".join(f"{name} {installed_version(name)}" for name in ("torch", "hydra-core"))
    return f"sentence-order version {__version__} ({others})"


__version__ = installed_version("sentence-order")

__all__ = ["SentenceOrderer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "SentenceOrderer":
        from sentence_order.inference.orderer import SentenceOrderer

        return SentenceOrderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
