"""The PanDA client in a process of its own: `python -m submitter.panda.child`. One line of JSON asks, one answers.

A question is `{"call": NAME, "arguments": {...}}`. The last line of an answer is `{"status": N, "output": ...}`, as the
client's function returned them, or `{"trouble": KIND, "detail": TEXT}`; before it there may be lines `{"say": TEXT}`.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

LOGIN = "login"
_CALLS = frozenset(
    {
        *("insertTaskParams", "killTask", "retryTask", "getTaskStatus", "getTaskParamsMap", "get_job_descriptions"),
        *("killJobs", "getJobStatus", "getFullJobStatus", "getJobIDsJediTasksInTimeRange", "getUserJobMetadata"),
        *("hello", "finishTask"),
    }
)
_HTTP_TROUBLES = {401: "denied", 403: "denied", 404: "garbled"}
_OK = 0
_NETWORK_FAILED = 1
"""`_HttpClient._send` turns every exception of the network into this status."""


class _NeedsLogin(Exception):
    """The client wants a person to log in, and none is there."""


class _Mouth(io.TextIOBase):
    """What the client prints: passed on in `say` lines, or to the log."""

    def __init__(self, answers: io.TextIOBase) -> None:
        self._answers = answers
        self._text = ""
        self.aloud = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not self.aloud:
            return sys.stderr.write(text)
        *lines, self._text = (self._text + text).split("\n")
        for line in filter(None, lines):
            _answer(self._answers, {"say": line})
        return len(text)


def main() -> int:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints goes to the log
    mouth = _Mouth(answers)
    sys.stdout = mouth
    _prepare_environment()
    client: Client | None = None
    for line in sys.stdin:
        if client is None:
            client = Client()
        question = json.loads(line)
        mouth.aloud = question["call"] == LOGIN
        _answer(answers, client.answer(question["call"], question["arguments"], may_ask=mouth.aloud))
    return 0


def _prepare_environment() -> None:
    os.umask(0o077)
    os.environ.pop("PANDA_VERIFY_HOST", None)
    # The client fetches the pages that tell where to log in without looking at certificates. We do look.
    ssl._create_unverified_context = ssl.create_default_context  # type: ignore[assignment]  # noqa: SLF001
    if not os.environ.get("X509_CERT_DIR") and not Path("/etc/grid-security/certificates").is_dir():
        # Else it takes that folder, there or not, and nothing else for what it trusts.
        os.environ["X509_CERT_DIR"] = ssl.get_default_verify_paths().capath or ""
    if token_file := os.environ.get("OIDC_AUTH_TOKEN_FILE"):
        # It would send the newline at the end of the file, too.
        os.environ["PANDA_AUTH_ID_TOKEN"] = Path(token_file).read_text(encoding="ascii").strip()


class Client:
    """The real client, with what it hides: how the server answered."""

    def __init__(self) -> None:
        from pandaclient import Client as RealClient
        from pandaclient import FileSpec, JobSpec

        self._panda: Any = RealClient
        self._job_class, self._file_class = JobSpec.JobSpec, FileSpec.FileSpec
        self._last: tuple[int, str] = (_OK, "")
        send = RealClient._HttpClient._send  # noqa: SLF001 - its callers drop what it tells

        def remember(*words: Any, **named: Any) -> Any:
            status, content = send(*words, **named)
            text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
            self._last = status, text
            return status, content

        RealClient._HttpClient._send = remember  # noqa: SLF001

    def answer(self, call: str, arguments: Mapping[str, Any], *, may_ask: bool) -> dict[str, Any]:
        """The result of a call, or what kind of trouble it met."""
        self._last = (_OK, "")
        builtins.input = _say_yes if may_ask else _refuse
        try:
            status, output = self._function(call)(**arguments)
        except _NeedsLogin:
            return {"trouble": "login", "detail": "there is no valid token"}
        except SystemExit:
            return {"trouble": "login", "detail": self._last[1][:500] or "the client gave up"}
        except ValueError as error:  # not JSON
            return {"trouble": "garbled", "detail": str(error)}
        except Exception as error:  # noqa: BLE001 - a library that raises anything
            return {"trouble": "unreachable", "detail": f"{type(error).__name__}: {error}"}
        http_status, text = self._last
        if http_status == _NETWORK_FAILED:
            return {"trouble": "unreachable", "detail": text[:500]}
        if http_status != _OK:
            kind = _HTTP_TROUBLES.get(http_status, "unreachable" if http_status >= 500 else "refused")
            return {"trouble": kind, "detail": f"HTTP {http_status}: {' '.join(text.split())[:300]}"}
        return {"status": status, "output": _words_in(text) if status != _OK and output is None else output}

    def _function(self, call: str) -> Callable[..., Any]:
        if call == LOGIN:
            return self._log_in
        if call == "submitJobs":
            return self._submit_jobs
        if call in {"getJobStatus", "getFullJobStatus"}:
            return lambda ids: self._jobs(getattr(self._panda, call)(ids))
        if call not in _CALLS:
            raise ValueError(f"{call} is not asked for here")
        function: Callable[..., Any] = getattr(self._panda, call)
        return function

    def _log_in(self) -> tuple[int, bool]:
        return 0, self._panda.get_new_token() is not None

    def _submit_jobs(self, jobs: Sequence[Mapping[str, Any]]) -> Any:
        return self._panda.submitJobs([self._job(fields) for fields in jobs])

    def _job(self, fields: Mapping[str, Any]) -> Any:
        job = self._job_class()
        for name, value in fields.items():
            if name != "files":
                setattr(job, name, value)
        for each in fields["files"]:
            file = self._file_class()
            for name, value in each.items():
                setattr(file, name, value)
            job.addFile(file)
        return job

    def _jobs(self, found: tuple[int, Any]) -> tuple[int, Any]:
        """Job specs as plain fields; what is not known of a job is None, so is a job that nobody knows."""
        status, jobs = found
        if status != _OK or not isinstance(jobs, list):
            return status, None
        return status, [None if job is None else self._fields(job) for job in jobs]

    def _fields(self, job: Any) -> dict[str, Any]:
        values = {name: getattr(job, name) for name in self._job_class._attributes}  # noqa: SLF001
        return {name: None if value == "NULL" else value for name, value in values.items()}


def _words_in(text: str) -> str | None:
    """Why the server refused; the client keeps it to itself."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return str(document.get("message") or "")[:300] or None if isinstance(document, dict) else None


def _say_yes(_prompt: object = "") -> str:
    """The client asks whether one is ready to be waited for."""
    return "y"


def _refuse(_prompt: object = "") -> str:
    raise _NeedsLogin


def _answer(answers: io.TextIOBase, document: Mapping[str, Any]) -> None:
    answers.write(json.dumps(document, default=str) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
