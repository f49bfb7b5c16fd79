"""`sluice watch`: a trigger's progress, live, one bar for each channel and step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table

from sluice_local.console.client import Client
from sluice_local.console.progress import FINAL, ExecutionProgress, executions
from sluice_local.durations import describe

_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A trigger at one moment."""

    trigger: dict[str, Any]
    details: dict[str, Any]

    @property
    def executions(self) -> list[ExecutionProgress]:
        """Every channel and step."""
        return list(executions(self.details))

    @property
    def is_final(self) -> bool:
        """Whether nothing is open any more."""
        return self.trigger["status"] in FINAL

    @property
    def awaiting_receipts(self) -> int:
        """How many accepted messages the providers have said nothing more about."""
        return sum(execution.awaiting_receipt for execution in self.executions)


async def read(client: Client, trigger_id: str) -> Snapshot:
    """Return the trigger now."""
    trigger = await client.get(f"/triggers/{trigger_id}")
    return Snapshot(trigger, await client.get(trigger["details_endpoint"]))


async def watch(
    client: Client,
    trigger_id: str,
    console: Console,
    *,
    until: Callable[[Snapshot], bool] = lambda snapshot: snapshot.is_final,
) -> Snapshot:
    """Show progress until `until` holds, then return the trigger as it was."""
    with _bars(console) as progress:
        tasks: dict[str, TaskID] = {}
        while True:
            snapshot = await read(client, trigger_id)
            for execution in snapshot.executions:
                _show(progress, tasks, execution)
            if until(snapshot):
                return snapshot
            await asyncio.sleep(_POLL_SECONDS)


def summarise(console: Console, snapshot: Snapshot) -> None:
    """Print how a trigger ended."""
    trigger = snapshot.trigger
    seconds = trigger.get("duration_seconds")
    took = f" in {describe(timedelta(seconds=seconds))}" if seconds is not None else ""
    console.print(f"[bold]{trigger.get('campaign_name') or trigger['id']}[/]: {trigger['status']}{took}")
    table = Table(box=None, pad_edge=False)
    for column in ("", "status", "jobs", "outcome"):
        table.add_column(column, justify="right" if column == "jobs" else "left")
    for execution in snapshot.executions:
        table.add_row(execution.label, execution.status, str(execution.total), execution.outcome())
        for reason, count in execution.filter_reasons:
            table.add_row("", "", str(count), f"[yellow]{reason}[/]")
    console.print(table)


def show_ledger(console: Console, ledger: dict[str, Any]) -> None:
    """Print the buckets of a ledger; they add up, or the line is red."""
    unaccounted = ledger.get("unaccounted", 0)
    parts = "  ".join(f"{name} {value}" for name, value in ledger.items() if type(value) is int)
    console.print(f"ledger  {parts}", style="red" if unaccounted else "green")


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", table_column=Column(min_width=10, no_wrap=True)),
        BarColumn(bar_width=20, table_column=Column(min_width=20)),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", table_column=Column(min_width=9, justify="right")),
        TextColumn("{task.fields[status]}", table_column=Column(min_width=10)),
        TextColumn("[dim]{task.fields[outcome]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=console,
        expand=True,
    )


def _show(progress: Progress, tasks: dict[str, TaskID], execution: ExecutionProgress) -> None:
    status, outcome = execution.status, execution.outcome()
    if execution.label not in tasks:
        tasks[execution.label] = progress.add_task(execution.label, total=0, status=status, outcome=outcome)
    task = tasks[execution.label]
    progress.update(task, total=execution.total, completed=execution.done, status=status, outcome=outcome)
