"""The exceptions that are reported in one line: a user's mistake, a failed run, a signal; and parts of messages."""


class _OneLine(BaseException):
    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UserError(_OneLine, ValueError):
    """Something the user can fix: the message names the config key, or the file and line, and what is accepted.

    Entry points print the message as one line and exit with code 2; every other exception is our mistake and
    keeps its traceback.
    """


class TrainingError(_OneLine, RuntimeError):
    """A run that cannot go on, such as one whose loss is not finite; printed without traceback, exit code 1."""


class Interrupted(_OneLine, KeyboardInterrupt):
    """A run that was stopped by a signal; printed without traceback, exit code 128 plus the signal's number."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal

    def __reduce__(self) -> tuple[type, tuple[int, str]]:  # some launchers of sweeps raise it in another process
        return type(self), (self.signal, str(self))


def first_line(error: BaseException) -> str:
    """The first line of a library's message."""
    if type(error) is KeyError:  # which names the key and nothing else
        return f"no {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def counted(count: int, noun: str) -> str:
    """A number with its noun, as in `1 document` and `2,000 documents`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """A text on one line: control characters and line ends, which files and arguments may contain, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
