"""The process that answers a referee's questions: `python -m sluice_catalog.refereeing.process`.

It ends when its time for a question is over, or its memory, and when nobody asks any more.
"""

from __future__ import annotations

import resource
import signal
import socket
from typing import Any, Final

import orjson

from sluice_catalog.conditions import ConditionError, ConditionProblem, View, compile_condition
from sluice_catalog.paths import Found, found_at
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
            # Nothing else can end what C++ code does not come back from.
            signal.setitimer(signal.ITIMER_PROF, MOST_CPU_SECONDS)
            answer = _decision(**question) if "source" in question else _found(**question)
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(line, orjson.dumps(answer))


def _decision(source: str, names: list[str], values: dict[str, Any]) -> dict[str, Any]:
    seen = tuple(names)
    try:
        decision = compile_condition(source, seen).decided_here(View(seen, **values))
    except ConditionProblem as problem:
        return {"reason": str(problem)}
    return {"reason": decision.reason} if isinstance(decision, ConditionError) else {"decision": decision}


def _found(paths: list[str], data: dict[str, Any]) -> list[Found]:
    return [found_at(path, data) for path in paths]


if __name__ == "__main__":
    main()
