"""The exceptions that are told in one line: a user's mistake, a run that cannot go on, one that was told to stop."""


class UserError(ValueError):
    """Something the user can mend: the message names the config key, or the file and line, and what is accepted.

    Entry points print the message as one line and exit with code 2; every other exception is our mistake and
    keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """A library's complaint in one line."""
    if type(error) is KeyError:  # which says no more than the key
        return f"no {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


class TrainingError(RuntimeError):
    """A run that cannot go on, such as one whose loss is not finite; printed without traceback, exit code 1."""


class Interrupted(KeyboardInterrupt):
    """A run that was told to stop by a signal; printed without traceback, exit code 128 and the signal's number."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal
