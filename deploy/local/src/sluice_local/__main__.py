"""`sluice`, or `python -m sluice_local`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from argparse import Namespace

import structlog

from sluice_local.arguments import parser
from sluice_local.data import DataDirectory
from sluice_local.durations import describe
from sluice_local.options import StackOptions
from sluice_local.processes import StartError
from sluice_local.terminal import Terminal


def main(words: list[str] | None = None) -> int:
    """Run the command that `words` (or the command line) ask for and return its exit code."""
    arguments = parser().parse_args(words)
    # Standard output is for answers. What libraries report goes to standard error, routine only where it is asked for.
    level = logging.INFO if arguments.command == "migrate" else logging.WARNING
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        return _COMMANDS[arguments.command](arguments)
    except (StartError, ValueError) as error:
        print(f"sluice: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(arguments: Namespace) -> int:
    from sluice_local.up import up

    options = StackOptions(
        data=arguments.data,
        port=arguments.port,
        host=arguments.host,
        public_url=arguments.public_url,
        copies=arguments.copies,
        brokers=arguments.brokers,
        kafka=arguments.kafka,
        postgres=arguments.postgres,
        log_level=arguments.log,
    )
    with asyncio.Runner() as runner:
        code = runner.run(up(options, Terminal(options.log_level)))
        # A download that a stop interrupted goes on in a thread, which a regular exit would wait for.
        sys.stdout.flush()
        os._exit(code)


def _migrate(arguments: Namespace) -> int:
    from sluice_local.migration import migrate_all, migrate_database

    if arguments.kafka:
        asyncio.run(migrate_all(arguments.postgres, arguments.kafka, arguments.replication))
    else:
        asyncio.run(migrate_database(arguments.postgres))
    return 0


def _clock(arguments: Namespace) -> int:
    data = DataDirectory(arguments.data)
    ahead = data.advance_clock(arguments.by) if arguments.action == "advance" else data.clock_shift()
    print(f"the clock of {data.path} is {describe(ahead)} ahead")
    return 0


def _console(arguments: Namespace) -> int:
    from sluice_local.console.commands import run

    return asyncio.run(run(arguments))


def _operating(arguments: Namespace) -> int:
    from sluice_local.operating.commands import run

    return asyncio.run(run(arguments))


_COMMANDS = {
    "up": _up,
    "migrate": _migrate,
    "clock": _clock,
    "send": _console,
    "trigger": _console,
    "watch": _console,
    "demo": _console,
    "dlq": _operating,
    "replay": _operating,
    "audit": _operating,
    "doctor": _operating,
}

if __name__ == "__main__":
    sys.exit(main())
