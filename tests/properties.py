"""The settings of hypothesis, to be imported instead of its own.

The suite tries the same examples in every run. With `SENTENCE_ORDER_RANDOM_TESTS` in the environment (`scripts/test
--slow`) they are drawn anew each time.
"""

import os

from hypothesis import settings

__all__ = ["settings"]

settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("random" if os.environ.get("SENTENCE_ORDER_RANDOM_TESTS") else "suite")
