"""The process that answers a referee's questions: `python -m sluice_catalog.refereeing.process`.

It ends when its time for a question is over, or its memory, and when nobody asks any more.
"""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

import orjson

from sluice_catalog.refereeing.frames import receive, send

MOST_CPU_SECONDS: Final = 0.25
_MOST_MEMORY_BYTES: Final = 1024**3


def main() -> None:
    """Answer the questions that come in on standard input, which is a socket, until it is closed."""
    # Whoever asks is told to stop by the same key press, and closes the line.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    with socket.socket(fileno=0) as line:
        while True:
            try:
                question = orjson.loads(receive(line))
            except EOFError:
                return
            function = _function(question["function"])
            # Nothing else can end what C++ code does not come back from.
            signal.setitimer(signal.ITIMER_PROF, MOST_CPU_SECONDS)
            answer = function(**question["arguments"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(line, orjson.dumps(answer))


@cache
def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function


if __name__ == "__main__":
    main()
