"""Names of the folders of a sweep's jobs, which are different wherever the jobs are."""

import hashlib
import re
from collections.abc import Mapping

MAX_NAME = 160  # in bytes; file systems allow at most 255


def job_name(overrides: list[str], keys: Mapping[str, list[str] | None]) -> str:
    """The folder of a job: the swept keys, as short as they are unique, each with its value.

    A value that would look like another one of its key (`keys` has all of them, if known) ends in a digest.

    Example:
        >>> job_name(["freeze.depth=none", "data=jsonl", "seed=0"], {"freeze.depth": ["none", "all"], "seed": ["0"]})
        'depth-none_seed-0'
    """
    values = dict(text.lstrip("+").split("=", 1) for text in overrides if "=" in text)
    lasts = [key.rsplit(".", 1)[-1] for key in keys]
    next_key = re.compile(f"_({'|'.join(map(re.escape, [*keys, *lasts]))})-")  # in a value, it would look like one
    parts = []
    for key, last in zip(keys, lasts, strict=True):
        value = _slug(values[key])
        alike = any(_slug(other).lower() == value.lower() for other in {*(keys[key] or [])} - {values[key]})
        if alike or next_key.search(value):
            value += f"-{_digest(values[key])}"
        parts.append(f"{last if lasts.count(last) == 1 else key}-{value}")
    name = "_".join(parts) or "run"
    encoded = name.encode()
    return name if len(encoded) <= MAX_NAME else f"{encoded[:MAX_NAME].decode(errors='ignore')}-{_digest(name)}"


def _slug(value: str) -> str:
    """A value as part of a folder's name."""
    return "-".join(re.sub(r"[^\w.+-]+", " ", value).split()) or "empty"  # a minus sign stays


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
