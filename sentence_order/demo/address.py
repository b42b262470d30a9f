"""The address that the page is served at, which is checked before anything is loaded."""

import errno
import socket
from collections.abc import Mapping, MutableMapping

from sentence_order.config.schema import DemoConfig
from sentence_order.errors import UserError

LOCAL = "127.0.0.1"  # which other machines cannot reach
FIRST_PORT, MAX_PORT = 7860, 65_535
TRIED_PORTS = 100


def choose_address(config: DemoConfig, environment: Mapping[str, str]) -> tuple[str, int]:
    """The host, as in a URL, and a free port. Raises UserError, which begins with the config key, if they fail."""
    host = config.host or environment.get("GRADIO_SERVER_NAME") or LOCAL
    if ":" in host:  # IPv6, which a URL has in brackets
        host = f"[{host.strip('[]')}]"
    port = config.port
    if port is None:
        named = environment.get("GRADIO_SERVER_PORT", "")
        port = int(named) if named.isdecimal() else FIRST_PORT
    if port == "auto":
        for free in range(FIRST_PORT, FIRST_PORT + TRIED_PORTS):
            if _is_free(host, free):
                return host, free
        raise UserError(f"port: none from {FIRST_PORT} to {FIRST_PORT + TRIED_PORTS - 1} is free; name another")
    if type(port) is not int or not 1 <= port <= MAX_PORT:
        raise UserError(f"port: an integer from 1 to {MAX_PORT}, or auto, not {port!r}")
    if not _is_free(host, port):
        raise UserError(f"port: {port} is taken by another program; name another, or add port=auto")
    return host, port


def is_local(host: str) -> bool:
    """True for an address that other machines cannot reach."""
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")


def bypass_proxy(host: str, environment: MutableMapping[str, str]) -> None:
    """Excepts this machine from a proxy that is set: gradio asks its own page at the start."""
    # Programs read either name; where both are set, the lower one counts.
    others = environment.get("no_proxy") or environment.get("NO_PROXY")
    value = ",".join(filter(None, [others, "localhost", LOCAL, host.strip("[]")]))
    environment.update(no_proxy=value, NO_PROXY=value)


def _is_free(host: str, port: int) -> bool:
    """True if the port can be opened. Raises UserError for a host that is not this machine, or a forbidden port."""
    try:
        for name in (host.strip("[]"), LOCAL):  # gradio tries the port at both
            family, *_, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
            with socket.create_server(address[:2], family=family):
                pass
        return True
    except PermissionError as error:
        raise UserError(f"port: {port} is not allowed to this user; name one above 1023") from error
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f"host: {host} is not an address of this machine ({error.strerror})") from error
        return False
