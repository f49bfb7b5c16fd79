"""What is to be done with each job of a wave: sent as which message, filtered, held or failed, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sluice_channel.accounts import ActiveAccount
from sluice_channel.channels import ChannelKind, Envelope
from sluice_channel.control import Stop
from sluice_channel.domain import gates, windows
from sluice_channel.domain.gates import Hold, JobFacts, Verdict
from sluice_channel.domain.windows import WindowStanding
from sluice_channel.provider import OutboundMessage, RenderedMessage
from sluice_channel.rendering import PageRenderer, RenderFault
from sluice_channel.reports import JobReport, to_milliseconds
from sluice_contracts.identifiers import JobId
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.references import JobReference, sign_reference
from sluice_contracts.sentences import HOLD_SENTENCES
from sluice_contracts.vocabulary import FailureCode, FilterCode, HoldCode, JobState, MessageState, SuppressionReason


@dataclass(slots=True)
class PlannedJob:
    """One job of a wave: its place in the command, its report so far, and the message if it is to be handed over."""

    place: int
    report: JobReport
    message: OutboundMessage | None = None
    gate: FilterCode | None = None

    @property
    def is_sendable(self) -> bool:
        """Whether it is to be handed over."""
        return self.report.state is JobState.SENDING

    def filter(self, failed: Verdict) -> None:
        """Do not send it, for the reason that `failed` gives."""
        cancelled = failed.code is FilterCode.CANCELLED
        self.report.state = JobState.CANCELLED if cancelled else JobState.FILTERED
        self.report.code = failed.code
        self.report.detail = failed.detail
        self.gate = failed.code
        self._withdraw()

    def hold(self, code: HoldCode, until: datetime | None) -> None:
        """Do not send it now; it comes back at `until`, or when somebody resumes the trigger."""
        self.report.state = JobState.HELD
        self.report.code = code
        self.report.detail = HOLD_SENTENCES[code]
        self.report.until = None if until is None else to_milliseconds(until)
        self._withdraw()

    def fail(self, code: FailureCode, detail: str) -> None:
        """Give it up."""
        self.report.state = JobState.FAILED
        self.report.code = code
        self.report.detail = detail
        self.report.until = None
        self._withdraw()

    def _withdraw(self) -> None:
        self.report.segments = None
        self.report.cost_micros = None
        self.report.provider = None
        self.message = None


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What was found out once for all jobs of a command."""

    command: JobsCommanded
    account: ActiveAccount | None
    suppressions: Mapping[str, SuppressionReason]
    renderer: PageRenderer
    proven: frozenset[int] = frozenset()


class Planner:
    """Asks the gates and renders. Reads no clock and touches no database."""

    def __init__(self, kind: ChannelKind, reference_key: bytes) -> None:
        self._kind = kind
        self._reference_key = reference_key

    def reference(self, job: JobReference) -> str:
        """Return the signed reference of a job."""
        return sign_reference(job, self._reference_key)

    def plan(self, page: PageFacts, places: Sequence[int], stop: Stop | None, now: datetime) -> list[PlannedJob]:
        """Return what to do with the jobs at `places`; `stop` is how their trigger is stopped, None where it runs."""
        wave = _WavePlan(self, self._kind, page, stop, now)
        return [wave.job(place) for place in places]


class _WavePlan:
    """What the jobs of one wave have in common, worked out once."""

    def __init__(self, planner: Planner, kind: ChannelKind, page: PageFacts, stop: Stop | None, now: datetime) -> None:
        command = page.command
        self._planner = planner
        self._kind = kind
        self._page = page
        self._stop = stop
        self._now = now
        self._at = to_milliseconds(now)
        self._standing = _standings(command, now)
        self._job_id_prefix = str(JobId(command.execution_id, 0)).removesuffix("0")
        self._trigger_id = str(command.trigger_id)
        self._nothing_in_the_way = (
            stop is None
            and page.account is not None
            and not command.dry_run
            and (command.expires_at is None or now < command.expires_at)
        )

    def job(self, place: int) -> PlannedJob:
        """Return what to do with the job at `place`."""
        page, jobs = self._page, self._page.command.jobs
        seq = jobs.seq[place]
        job = PlannedJob(place, JobReport(seq, JobState.SENDING, self._at, jobs.attempts[place]))
        if seq in page.proven:
            job.report.state = JobState.SENT
            job.report.message = MessageState.ACCEPTED
            return job
        facts = None if self._passes_every_gate(place) else self._facts(place)
        early = None if facts is None else gates.before_content(facts)
        if early is not None:
            job.filter(early)
            return job
        if self._stop == "paused":
            job.hold(HoldCode.PAUSED, None)
            return job
        rendered = page.renderer.render(place)
        if isinstance(rendered, RenderFault):
            job.fail(FailureCode.RENDER_ERROR, rendered.detail)
        elif isinstance(rendered, Verdict):
            self._decide(job, replace(facts or self._facts(place), content=rendered))
        elif facts is None or not self._decide(job, facts):
            self._prepare(job, rendered)
        return job

    def _passes_every_gate(self, place: int) -> bool:
        """Whether it is plain that no gate stops the job, save what rendering may find: true of nearly all."""
        page, jobs = self._page, self._page.command.jobs
        address = jobs.address[place]
        if not self._nothing_in_the_way or jobs.verdict[place] is not None or jobs.opt_outs[place] or not address:
            return False
        standing = self._standing(jobs.timezone[place])
        return (
            (standing is None or standing.is_open)
            and address not in page.suppressions
            and self._kind.is_address(address)
        )

    def _facts(self, place: int) -> JobFacts:
        page, command, jobs = self._page, self._page.command, self._page.command.jobs
        address, known = jobs.address[place], jobs.verdict[place]
        return JobFacts(
            category=command.category,
            address=address,
            address_is_valid=address is None or self._kind.is_address(address),
            cancelled=self._stop == "cancelled",
            known=None if known is None else gates.verdict(known, jobs.verdict_detail[place]),
            suppression=page.suppressions.get(address) if address is not None else None,
            opt_outs=jobs.opt_outs[place],
            window=self._standing(jobs.timezone[place]),
            drops_outside_window=command.window is not None and command.window.outside == "drop",
            expires_at=command.expires_at,
            provider_configured=page.account is not None,
            dry_run=command.dry_run,
        )

    def _decide(self, job: PlannedJob, facts: JobFacts) -> bool:
        """Filter or hold the job if a gate says so; return whether one did."""
        decided = gates.decide(facts, self._now)
        if isinstance(decided, Verdict):
            job.filter(decided)
        elif isinstance(decided, Hold):
            job.hold(HoldCode.OUTSIDE_WINDOW, decided.until)
        return decided is not None

    def _prepare(self, job: PlannedJob, rendered: RenderedMessage) -> None:
        command, jobs, account = self._page.command, self._page.command.jobs, self._page.account
        if account is None:
            raise ValueError("a job without a provider account cannot pass the gates")
        report, place = job.report, job.place
        reference = self._planner.reference(JobReference(command.execution_id, report.seq, command.round))
        content = self._kind.address_to(rendered, Envelope(reference, command.category, command.sender))
        segments = self._kind.segments(content)
        report.provider = account.account.provider
        report.segments = segments
        report.cost_micros = account.prices.price(jobs.country[place], command.category) * (segments or 1)
        job.message = OutboundMessage(
            reference=reference,
            job_id=f"{self._job_id_prefix}{report.seq}",
            trigger_id=self._trigger_id,
            address=jobs.address[place] or "",
            content=content,
            sender=command.sender.sender,
            attempt=jobs.attempts[place] + 1,
        )


def _standings(command: JobsCommanded, now: datetime) -> Callable[[str | None], WindowStanding | None]:
    """Return how the command's window stands in each time zone; None where no window applies."""
    window = command.window
    if window is None or command.category.is_essential:
        return lambda _: None
    known: dict[str | None, WindowStanding] = {}

    def standing(zone_name: str | None) -> WindowStanding:
        if zone_name not in known:
            known[zone_name] = windows.standing(window, zone_name, now)
        return known[zone_name]

    return standing
