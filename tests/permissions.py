"""Missing permissions, also where the tests run as root, whom none stops."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOMEBODY = 65534


@contextmanager
def no_permission(path: Path) -> Iterator[None]:
    """Within the block `path`, which lies in the current folder, can be neither read nor looked into."""
    mode, is_root = path.stat().st_mode, os.getuid() == 0
    path.chmod(0)
    Path.cwd().chmod(0o755)
    if is_root:
        os.setresuid(SOMEBODY, SOMEBODY, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        path.chmod(mode)
