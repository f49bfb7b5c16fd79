"""What jobs show against what providers got: nothing shown that did not happen, and nobody reached twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import pairwise

from chaos.doubts import Doubts
from chaos.findings import Finding, Kind, masked
from chaos.history import UNCERTAIN, Act, HandOver, Job, Policy, Request, Trigger

Person = tuple[str, str]
"""A channel and an address."""


def deliveries(
    request: Request,
    trigger: Trigger,
    got: Mapping[Person, Sequence[HandOver]],
    reasons: Mapping[str, Set[Person]],
    doubts: Doubts,
) -> Iterator[Finding]:
    """Yield what is wrong with the messages of a request: `got` of providers, oldest first.

    `reasons` tells for each code of a failed job whose message providers gave that reason for.
    """
    names: dict[Person, str] = {}
    for execution in trigger.executions:
        for job in execution.jobs:
            person = (execution.channel, job.address)
            names[person] = f"trigger {trigger.id} job {job.id} ({request.what}, {execution.channel})"
            hand_overs = got.get(person, ())
            yield from _shown(names[person], job, hand_overs)
            if not hand_overs and not _is_explained(request, trigger, job, person in reasons.get(job.code or "", ())):
                yield Finding(Kind.LOST, f"{names[person]} is {job.status} ({job.code}), and nothing happened to it")
    for person, hand_overs in got.items():
        channel, address = person
        name = names.get(person, f"trigger {trigger.id} ({request.what}, {channel}) to {masked(address)}")
        if person not in names and address in request.people.get(channel, frozenset()):
            yield Finding(Kind.UNACCOUNTED, f"{name} has no job, and the provider has the message")
        for first, second in pairwise(hand_overs):
            if not _may_repeat(request, first, second, doubts):
                yield Finding(
                    Kind.DUPLICATED,
                    f"{name} was handed over at {first.at:.3f} and again at {second.at:.3f} ({request.policy})",
                )


def _shown(name: str, job: Job, got: Sequence[HandOver]) -> Iterator[Finding]:
    is_taken = any(each.answered for each in got)
    if job.status == "sent" and not got:
        yield Finding(Kind.LOST, f"{name} is shown as sent, and the provider never got it")
    elif job.status == "sent" and not is_taken:
        yield Finding(Kind.UNACCOUNTED, f"{name} is shown as sent, and the provider never said that it has it")
    elif job.status != "sent" and job.code != UNCERTAIN and is_taken:
        yield Finding(Kind.UNACCOUNTED, f"{name} is shown as {job.status} ({job.code}), and the provider has it")


def _is_explained(request: Request, trigger: Trigger, job: Job, has_reason: bool) -> bool:
    """Whether something that happened is a reason for how a job ended whose message no provider got.

    Nobody in a run is suppressed or has opted out.
    """
    match job.status:
        case "failed":
            # How many may be in doubt is counted for the run as a whole.
            return job.code == UNCERTAIN or has_reason
        case "cancelled":
            return request.last(Act.CANCEL) is not None or trigger.status == "cancelled"
        case status:
            return status != "filtered"


def _may_repeat(request: Request, first: HandOver, second: HandOver, doubts: Doubts) -> bool:
    """Whether it was in doubt who had a message, and it was to be sent again then: by policy, or by its operator."""
    retry = request.last(Act.RETRY)
    is_wanted = request.policy is Policy.RESEND or (retry is not None and second.at >= retry.asked_at)
    return is_wanted and (not first.answered or doubts.explain(first, second))
