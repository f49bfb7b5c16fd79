"""From the command line to a tool. Exit codes: 0 fine, 1 something was found or left undone, 2 it could not be done."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace

from sluice_local.operating.audit import audit
from sluice_local.operating.dead_letters import list_topics, show
from sluice_local.operating.doctor.examination import examine
from sluice_local.operating.editing import edit
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Installation
from sluice_local.operating.redriving import redrive
from sluice_local.operating.replay import replay
from sluice_local.processes import StartError
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import ClusterAddressError


async def run(arguments: Namespace) -> int:
    """Carry out `dlq`, `replay`, `audit` or `doctor`; return the exit code."""
    # What the Kafka client says of each of its tries, a tool says once and in its own words.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return await _run(Installation.find(arguments.data), arguments)
    except (OperatingError, BrokerUnavailableError, ClusterAddressError, StartError) as error:
        print(f"sluice: {error}", file=sys.stderr)
        return 2


async def _run(installation: Installation, arguments: Namespace) -> int:
    match arguments.command, getattr(arguments, "action", None):
        case "dlq", "list":
            return await list_topics(installation)
        case "dlq", "show":
            return await show(installation, arguments)
        case "dlq", "edit":
            return await edit(installation, arguments)
        case "dlq", _:
            return await redrive(installation, arguments)
        case "replay", _:
            return await replay(installation, arguments)
        case "audit", _:
            return await audit(installation, arguments)
        case _:
            return await examine(installation, arguments)
