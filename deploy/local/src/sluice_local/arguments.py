"""The command line of `sluice`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sluice_local.durations import parse_duration
from sluice_local.operating.arguments import add_operating
from sluice_local.options import parse_copies
from sluice_local.terminal import LEVELS


def parser() -> ArgumentParser:
    """Return the parser of every command."""
    top = ArgumentParser(prog="sluice", description="Events in; SMS, email and WhatsApp out; and what became of them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, default=Path(".sluice"), help="the stack's data directory (%(default)s)")
    _add_up(commands.add_parser("up", parents=[shared], help="start everything and keep it running"))
    _add_migrate(commands.add_parser("migrate", help="bring a database and a broker up to date"))
    _add_clock(commands.add_parser("clock", help="move the stack's clock"), shared)
    _add_send(commands.add_parser("send", parents=[shared], help="send one message or many"))
    _add_trigger(commands.add_parser("trigger", parents=[shared], help="trigger a workflow"))
    watch = commands.add_parser("watch", parents=[shared], help="show a trigger's progress, live")
    watch.add_argument("trigger_id")
    commands.add_parser("demo", parents=[shared], help="play the three flows with a thousand contacts, and every door")
    add_operating(commands, shared)
    return top


def _add_up(up: ArgumentParser) -> None:
    up.add_argument(
        "--port", type=_port, default=8080, help="the one port of the stack (%(default)s; 0 takes a free one)"
    )
    up.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    up.add_argument("--public-url", default="", help="the base URL that links and callbacks are made with")
    up.add_argument("--copies", type=_checked(parse_copies), default={}, help='such as "channel-sms=2 status-api=2"')
    up.add_argument(
        "--brokers", type=int, choices=(1, 3), default=1, help="how many Kafka brokers to start (%(default)s)"
    )
    up.add_argument(
        "--kafka",
        default="",
        type=_cluster,
        help="host:port,… (or sasl_ssl://…) of your own cluster, in place of starting one",
    )
    up.add_argument("--postgres", default="", help="the DSN of a database of your own, in place of starting one")
    up.add_argument(
        "--log", choices=LEVELS, default="warning", help="the least that is shown of services (%(default)s)"
    )


def _add_migrate(migrate: ArgumentParser) -> None:
    migrate.add_argument("--postgres", required=True, help="the DSN of the database")
    migrate.add_argument(
        "--kafka",
        default="",
        type=_cluster,
        help="host:port,… (or sasl_ssl://…) of the brokers; without it, only the database",
    )
    migrate.add_argument("--replication", type=int, default=3, help="how many copies of each topic (%(default)s)")


def _add_clock(clock: ArgumentParser, shared: ArgumentParser) -> None:
    actions = clock.add_subparsers(dest="action", required=True, metavar="ACTION")
    advance = actions.add_parser("advance", parents=[shared], help="move it forward")
    advance.add_argument("by", type=_checked(parse_duration), help="such as 90s, 15m, 2h, 3d or 1d12h")
    actions.add_parser("show", parents=[shared], help="say how far ahead it is")


def _add_send(send: ArgumentParser) -> None:
    send.add_argument("channel", choices=("sms", "email", "whatsapp"))
    send.add_argument("--to", default="", help="a bare phone number or email address")
    send.add_argument("--template", default="", help="a template's key")
    send.add_argument("--text", default="", help="what to say, without a template")
    send.add_argument("--subject", default="", help="the subject of an email without a template")
    send.add_argument("--category", choices=("authentication", "transactional", "utility", "marketing"))
    _add_recipients(send)


def _add_trigger(trigger: ArgumentParser) -> None:
    trigger.add_argument("workflow", help="the workflow's name")
    _add_recipients(trigger)


def _add_recipients(command: ArgumentParser) -> None:
    command.add_argument("--contact", action="append", help="a contact's external id; may be given several times")
    command.add_argument("--tag", action="append", help="a tag; contacts that have all those given")
    command.add_argument("--everyone", action="store_true", help="every contact of the workspace")
    command.add_argument("--var", action="append", metavar="NAME=VALUE", help="a variable of the template")
    command.add_argument("--watch", action="store_true", help="stay and show the progress")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _cluster(text: str) -> str:
    from sluice_messaging.kafka.address import ClusterAddressError, connection_options

    try:
        if text:
            connection_options(text)
    except ClusterAddressError as error:
        raise ArgumentTypeError(str(error)) from error
    return text


def _checked(parse: Callable[[str], Any]) -> Callable[[str], dict[str, int] | timedelta]:
    def checked(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return checked
