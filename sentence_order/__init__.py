"""Train, evaluate and use BERT-based sentence ordering models.

Everything public is imported on first use, so that `--help` and configuration errors stay fast.
"""

import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_order.config.schema import TrainConfig
    from sentence_order.errors import Interrupted, TrainingError, UserError
    from sentence_order.evaluation.evaluate_documents import EvaluationResult, evaluate_documents
    from sentence_order.inference.details import DoubtedPair, OrderProbability, RankedOrder
    from sentence_order.inference.orderer import SentenceOrderer
    from sentence_order.inference.ordering import Prediction
    from sentence_order.training.callbacks import Callback
    from sentence_order.training.results import TrainResult
    from sentence_order.training.run import Trainer
    from sentence_order.training.run_dir import load_config
    from sentence_order.training.state import TrainerState


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

__all__ = [
    "Callback",
    "DoubtedPair",
    "EvaluationResult",
    "Interrupted",
    "OrderProbability",
    "Prediction",
    "RankedOrder",
    "SentenceOrderer",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "TrainerState",
    "TrainingError",
    "UserError",
    "__version__",
    "evaluate_documents",
    "load_config",
]
# The modules that define them.
_MODULES = {
    "config.schema": ["TrainConfig"],
    "errors": ["Interrupted", "TrainingError", "UserError"],
    "evaluation.evaluate_documents": ["EvaluationResult", "evaluate_documents"],
    "inference.details": ["DoubtedPair", "OrderProbability", "RankedOrder"],
    "inference.orderer": ["SentenceOrderer"],
    "inference.ordering": ["Prediction"],
    "training.callbacks": ["Callback"],
    "training.results": ["TrainResult"],
    "training.run": ["Trainer"],
    "training.run_dir": ["load_config"],
    "training.state": ["TrainerState"],
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            with warnings.catch_warnings():  # that notebooks lack ipywidgets, from libraries whose bars are not used
                warnings.filterwarnings("ignore", "IProgress not found")
                return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
