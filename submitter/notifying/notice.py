"""What is said of a job that ended: in a line, in a mail, as a document. Pure."""

from __future__ import annotations

import shlex
from collections import Counter

import msgspec

from submitter.jobs import State
from submitter.status import JobStatus
from transformation.locations import redacted

_MOST_UNITS = 20
_LONGEST_REASON = 300


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Of one job that ended, or a test."""

    name: str
    subject: str
    """One line."""
    text: str
    document: dict[str, object] = msgspec.field(default_factory=dict)
    """For programs; `text` is in it too, where chats look for it."""


def trial_notice(user: str) -> Notice:
    """For who wants to see that notices arrive."""
    subject = "[iod] a test"
    text = f"{subject}\n\nThis is how {user} will hear of jobs that ended.\n"
    document: dict[str, object] = {"schema_version": 1, "event": "test", "user": user, "text": text}
    return Notice(name="", subject=subject, text=text, document=document)


def notice_of(status: JobStatus, dossier: str = "") -> Notice:
    """Of a job that is over; `dossier` is the paragraph of its report, if there is one."""
    job = status.job
    n_done = status.counts["done"] + status.counts["empty"]
    subject = f"[iod] {job.name} {_ENDS.get(job.state, job.state)}: {n_done:,} of {job.n_units:,} units"
    commands = commands_of(status)
    story = dossier or _own_dossier(status)
    failed = [unit for unit in status.units if unit.state == "failed"]
    lines = [subject.removeprefix("[iod] ") + " are there.", "", story, ""]
    if failed:
        lines += ["Failed:", *(f"  {unit.id}: {unit.failure}: {_cut(unit.reason)}" for unit in failed[:_MOST_UNITS])]
        lines += [f"  and {len(failed) - _MOST_UNITS:,} more"] if len(failed) > _MOST_UNITS else []
        lines.append("")
    lines += [f"{what + ':':<8} {command}" for what, command in commands.items()]
    lines += [f"{'images:':<8} {redacted(status.data)}", *(f"{'see:':<8} {link}" for link in status.links), ""]
    text = "\n".join(lines)
    document = {
        "schema_version": 1,
        "event": "job_ended",
        "name": job.name,
        "user": job.user,
        "state": job.state,
        "message": job.message,
        "units": job.n_units,
        "counts": dict(status.counts),
        "failed": [
            {"id": unit.id, "failure": unit.failure, "reason": _cut(unit.reason)} for unit in failed[:_MOST_UNITS]
        ],
        "dossier": story,
        "output": redacted(status.data),
        "commands": commands,
        "links": list(status.links),
        "text": f"{subject}\n{text}",
    }
    return Notice(name=job.name, subject=subject, text=text, document=document)


def commands_of(status: JobStatus) -> dict[str, str]:
    """What to do next, by what it does; `rerun` makes only what failed."""
    name = shlex.quote(status.job.name)
    if status.state is State.DONE:
        return {"fetch": f"iod fetch {name}"}
    only_failed = status.counts["failed"] > 0 and status.state is not State.KILLED
    commands = {"rerun": f"iod rerun {name}{' --failed' if only_failed else ''}", "logs": f"iod logs {name}"}
    return commands | ({"fetch": f"iod fetch {name}"} if status.counts["done"] else {})


def _own_dossier(status: JobStatus) -> str:
    """Where no report can be had: what the units' own records say."""
    causes = Counter(unit.failure for unit in status.units if unit.state == "failed" and unit.failure)
    words = [f"{number:,} failed with {name}" for name, number in causes.most_common(3)]
    words += [f"{status.counts[state]:,} {state}" for state in ("done", "empty", "waiting") if status.counts[state]]
    story = f"Of {status.job.n_units:,} units: {', '.join(words)}." if words else ""
    return " ".join(filter(None, [status.job.message.rstrip(".") + "." if status.job.message else "", story]))


def _cut(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= _LONGEST_REASON else f"{short[: _LONGEST_REASON - 3]}..."


_ENDS = {State.DONE: "is done", State.PARTIAL: "is done in part", State.FAILED: "failed", State.KILLED: "was killed"}
