"""What every command run of a worker shares."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sluice_catalog.repository import Catalog
from sluice_channel.accounts import Accounts
from sluice_channel.allowances import Allowances
from sluice_channel.channels import ChannelKind
from sluice_channel.control import Controls
from sluice_channel.conversations import Conversations
from sluice_channel.domain.outcomes import Draw
from sluice_channel.pacing import Pacing
from sluice_channel.planning import Planner
from sluice_channel.rendering import Renderer
from sluice_channel.turnstile import Turnstile
from sluice_runtime.clock import Clock
from sluice_runtime.precedence import Precedence
from sluice_storage.database import Database


@dataclass(frozen=True, slots=True)
class Tools:
    """`lease_seconds` is how long a claim is good before others may take it for cut off; `steady` measures that."""

    kind: ChannelKind
    database: Database
    catalog: Catalog
    accounts: Accounts
    controls: Controls
    renderer: Renderer
    planner: Planner
    pacing: Pacing
    allowances: Allowances
    conversations: Conversations
    clock: Clock
    lease_seconds: float = 30.0
    draw: Draw = random.random
    steady: Callable[[], float] = time.monotonic
    precedence: Precedence = field(default_factory=Precedence)
    turnstile: Turnstile = field(default_factory=Turnstile)
