"""What torchrun tells the processes that it starts, by environment variables; without torch."""

import re
from collections.abc import Mapping

from sentence_order.errors import UserError


def is_distributed(variables: Mapping[str, str]) -> bool:
    """True if torchrun has started this process with others."""
    return {"RANK", "LOCAL_RANK"} <= variables.keys() and variables.get("WORLD_SIZE", "1") != "1"


def count_processes(variables: Mapping[str, str]) -> int:
    """The number of processes that torchrun has started. Raises UserError as `check_environment` does."""
    if not is_distributed(variables):
        return 1
    check_environment(variables)
    return int(variables["WORLD_SIZE"])


def check_environment(variables: Mapping[str, str]) -> None:
    """Raises UserError if the variables that torchrun sets do not fit together, as when some were left behind."""
    advice = "start with torchrun, which sets it, or unset RANK, LOCAL_RANK and WORLD_SIZE"
    if not variables.get("MASTER_ADDR"):
        raise UserError(f"MASTER_ADDR: not set in the environment, beside RANK and WORLD_SIZE; {advice}")
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"):
        if not re.fullmatch("[0-9]{1,9}", value := variables.get(name, "")):
            raise UserError(f"{name}: a number in the environment, not {value!r}; {advice}")
    if int(variables["RANK"]) >= int(variables["WORLD_SIZE"]):
        raise UserError(f"RANK: less than WORLD_SIZE={variables['WORLD_SIZE']}, not {variables['RANK']}; {advice}")
