"""All checks side by side, and their report."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Awaitable
from typing import Final

from sluice_local.operating.doctor.broker import examine_broker, examine_dead_letters
from sluice_local.operating.doctor.database import examine_database
from sluice_local.operating.doctor.findings import Examination
from sluice_local.operating.doctor.machine import examine_machine
from sluice_local.operating.doctor.services import examine_services
from sluice_local.operating.installation import Installation, said
from sluice_local.operating.quantities import counted

_CHECK_SECONDS: Final = 30.0


async def examine(installation: Installation, arguments: Namespace) -> int:
    """Print what is wrong, one line each; return 1 if anything is."""
    parts = await asyncio.gather(
        _bounded("services", examine_services(installation, dict(arguments.service or []))),
        _bounded("kafka", examine_broker(installation)),
        _bounded("dead letters", examine_dead_letters(installation)),
        _bounded("postgres", examine_database(installation)),
        _bounded("this machine", examine_machine(installation)),
    )
    findings = [finding for part in parts for finding in part.findings]
    for finding in findings:
        print(f"✗ {finding}")
    for note in [note for part in parts for note in part.notes]:
        print(f"· {note}")
    seen = ", ".join(words for part in parts for words in part.healthy)
    if not findings:
        print(f"✓ healthy: {seen}; nothing is behind, nothing is stuck")
        return 0
    print(counted(len(findings), "finding") + (f"; {seen}" if seen else ""))
    return 1


async def _bounded(name: str, check: Awaitable[Examination]) -> Examination:
    """Run one check; one that breaks or takes too long is a finding itself and no reason to keep the others' quiet."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check
    except Exception as error:  # noqa: BLE001 - a doctor that dies of the illness helps nobody
        broken = Examination()
        broken.find(name, f"could not be examined: {said(error)}", "mend what else is found and ask again")
        return broken
