"""What is to be done with each job of a wave: sent as which message, filtered, held or failed, and at what cost.

Nearly all jobs pass every gate. Those of which that is plain are rendered and made ready together, column by column;
only the others are asked about one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import repeat

from sluice_channel.accounts import ActiveAccount
from sluice_channel.channels import ChannelKind, Envelope
from sluice_channel.control import Stop
from sluice_channel.domain import gates, windows
from sluice_channel.domain.gates import Hold, JobFacts, Verdict
from sluice_channel.domain.windows import WindowStanding
from sluice_channel.provider import OutboundMessage, RenderedMessage
from sluice_channel.rendering import PageRenderer, Rendered, RenderFault
from sluice_channel.reports import Reports, to_milliseconds
from sluice_channel.wave import Wave
from sluice_contracts.identifiers import JobId
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.references import JobReference, sign_reference, sign_references
from sluice_contracts.vocabulary import FailureCode, HoldCode, JobState, MessageState, SuppressionReason


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What was found out once for all jobs of a command.

    `addresses` are those of its addresses that have the channel's form, `proven` the positions that are known to have
    been sent in an earlier round.
    """

    command: JobsCommanded
    account: ActiveAccount | None
    addresses: Set[str]
    suppressions: Mapping[str, SuppressionReason]
    renderer: PageRenderer
    proven: Set[int] = frozenset()


class Planner:
    """Asks the gates and renders. Reads no clock and touches no database."""

    def __init__(self, kind: ChannelKind, reference_key: bytes) -> None:
        self._kind = kind
        self._reference_key = reference_key

    def reference(self, job: JobReference) -> str:
        """Return the signed reference of a job."""
        return sign_reference(job, self._reference_key)

    def plan(self, page: PageFacts, places: range, stop: Stop | None, now: datetime) -> Wave:
        """Return what to do with the jobs at `places`; `stop` is how their trigger is stopped, None where it runs."""
        planning = _WavePlanning(self._kind, self._reference_key, page, places, stop, now)
        planning.plan()
        return planning.wave


class _WavePlanning:
    """The planning of one wave, and what its jobs have in common."""

    def __init__(
        self, kind: ChannelKind, reference_key: bytes, page: PageFacts, places: range, stop: Stop | None, now: datetime
    ) -> None:
        jobs = page.command.jobs
        here = slice(places.start, places.stop)
        reports = Reports.about_to_be_sent(jobs.seq[here], jobs.attempts[here], to_milliseconds(now))
        self.wave = Wave(places, reports, [None] * len(places), now, stop)
        self._kind = kind
        self._reference_key = reference_key
        self._page = page
        self._here = here
        self._now = now
        self._standings = _standings(page.command, jobs.timezone[here], now)

    def plan(self) -> None:
        """Decide about every job, and make ready those that pass."""
        clear = self._clear()
        ready: dict[int, RenderedMessage] = {}
        for index, rendered in zip(clear, self._render(clear), strict=True):
            if isinstance(rendered, RenderFault | Verdict):
                self._judge(index, rendered, None, ready)
            else:
                ready[index] = rendered
        if len(clear) < len(self.wave.places):
            for index in sorted(set(range(len(self.wave.places))).difference(clear)):
                self._ask(index, ready)
        if ready:
            self._prepare(list(ready), list(ready.values()))

    def _clear(self) -> Sequence[int]:
        """Return the jobs of which it is plain that no gate stops them, save what rendering may find."""
        page, command, jobs, here = self._page, self._page.command, self._page.command.jobs, self._here
        if self.wave.stop is not None or page.account is None or command.dry_run or page.proven:
            return ()
        if command.expires_at is not None and self._now >= command.expires_at:
            return ()
        closed = {zone for zone, standing in self._standings.items() if not standing.is_open}
        return [
            index
            for index, (address, verdict, opt_outs, zone) in enumerate(
                zip(jobs.address[here], jobs.verdict[here], jobs.opt_outs[here], jobs.timezone[here], strict=True)
            )
            if verdict is None
            and not opt_outs
            and address in page.addresses
            and address not in page.suppressions
            and zone not in closed
        ]

    def _ask(self, index: int, ready: dict[int, RenderedMessage]) -> None:
        """Ask the gates about one job: those up to the preferences before it is rendered, and then the others."""
        wave = self.wave
        if wave.reports.seq[index] in self._page.proven:
            wave.reports.state[index] = JobState.SENT
            wave.reports.message[index] = MessageState.ACCEPTED
            return
        facts = self._facts(index)
        early = gates.before_content(facts)
        if early is not None:
            wave.filter(index, early)
        elif wave.stop == "paused":
            wave.hold(index, HoldCode.PAUSED, None)
        else:
            (rendered,) = self._render([index])
            self._judge(index, rendered, facts, ready)

    def _judge(self, index: int, rendered: Rendered, facts: JobFacts | None, ready: dict[int, RenderedMessage]) -> None:
        """Decide about a job by what rendering it found; `facts` None: there is nothing else in its way."""
        if isinstance(rendered, RenderFault):
            self.wave.fail(index, FailureCode.RENDER_ERROR, rendered.detail)
        elif isinstance(rendered, Verdict):
            self._stop(index, replace(facts or self._facts(index), content=rendered))
        elif facts is None or not self._stop(index, facts):
            ready[index] = rendered

    def _stop(self, index: int, facts: JobFacts) -> bool:
        """Filter or hold the job if a gate says so; return whether one did."""
        decided = gates.decide(facts, self._now)
        if isinstance(decided, Verdict):
            self.wave.filter(index, decided)
        elif isinstance(decided, Hold):
            self.wave.hold(index, HoldCode.OUTSIDE_WINDOW, decided.until)
        return decided is not None

    def _facts(self, index: int) -> JobFacts:
        page, command, jobs, place = self._page, self._page.command, self._page.command.jobs, self.wave.places[index]
        address, known = jobs.address[place], jobs.verdict[place]
        return JobFacts(
            category=command.category,
            address=address,
            address_is_valid=address is None or address in page.addresses,
            cancelled=self.wave.stop == "cancelled",
            known=None if known is None else gates.verdict(known, jobs.verdict_detail[place]),
            suppression=page.suppressions.get(address) if address is not None else None,
            opt_outs=jobs.opt_outs[place],
            window=self._standings.get(jobs.timezone[place]),
            drops_outside_window=command.window is not None and command.window.outside == "drop",
            expires_at=command.expires_at,
            provider_configured=page.account is not None,
            dry_run=command.dry_run,
        )

    def _render(self, indexes: Sequence[int]) -> list[Rendered]:
        first = self.wave.places.start
        return self._page.renderer.render([first + index for index in indexes])

    def _prepare(self, indexes: Sequence[int], rendered: Sequence[RenderedMessage]) -> None:
        """Make messages of what was rendered for the jobs at `indexes`, and estimate their costs."""
        page, command, jobs, reports = self._page, self._page.command, self._page.command.jobs, self.wave.reports
        if page.account is None:
            raise ValueError("a job without a provider account cannot pass the gates")
        places = [self.wave.places[index] for index in indexes]
        seqs = [jobs.seq[place] for place in places]
        references = sign_references(command.execution_id, command.round, seqs, self._reference_key)
        category, sender = command.category, command.sender
        contents = [
            self._kind.address_to(message, Envelope(reference, category, sender))
            for message, reference in zip(rendered, references, strict=True)
        ]
        job_id = str(JobId(command.execution_id, 0)).removesuffix("0") + "%d"
        messages = map(
            OutboundMessage,
            references,
            map(job_id.__mod__, seqs),
            repeat(str(command.trigger_id)),
            [jobs.address[place] or "" for place in places],
            contents,
            repeat(sender.sender),
            [jobs.attempts[place] + 1 for place in places],
        )
        provider = page.account.account.provider
        prices = _prices(page.account, command, {jobs.country[place] for place in places})
        for index, place, message in zip(indexes, places, messages, strict=True):
            segments = self._kind.segments(message.content)
            reports.provider[index] = provider
            reports.segments[index] = segments
            reports.cost_micros[index] = prices[jobs.country[place]] * (segments or 1)
            self.wave.messages[index] = message


def _prices(account: ActiveAccount, command: JobsCommanded, countries: Collection[str | None]) -> dict[str | None, int]:
    return {country: account.prices.price(country, command.category) for country in countries}


def _standings(
    command: JobsCommanded, zones: Sequence[str | None], now: datetime
) -> Mapping[str | None, WindowStanding]:
    """Return how the command's window stands in each time zone; nothing where no window applies."""
    if command.window is None or command.category.is_essential:
        return {}
    return {zone: windows.standing(command.window, zone, now) for zone in set(zones)}
