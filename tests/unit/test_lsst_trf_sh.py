"""`lsst-trf.sh` under the shells that workers have: it finds a runtime, keeps every argument, and fails clearly."""

from __future__ import annotations

import random
import re
import shlex
import shutil
import subprocess
import tarfile
import zipapp
from pathlib import Path

import msgspec
import pytest

from transformation import __version__
from transformation.model.failures import Failure, Remedy
from transformation.model.report import JobReport, PayloadErrorReport

pytestmark = pytest.mark.allow_processes

SCRIPT = Path(__file__).parents[2] / "transformation/lsst-trf.sh"
PROGRAM = """\
#!/bin/sh
# Tells which runtime this is, its process and its arguments, each ended by a NUL.
printf '%s\\0' "$(cd "$(dirname "$0")/.." && pwd)" "$$" "${PYTHONPATH-}${PYTHONHOME-}" "$@"
"""
AWKWARD = [
    "--lsstJobParams=DP_USER=tonyj|SENSORS=R22_S11|R22_S12",
    "--select=a b  c",
    "",
    "it's",
    'say "no"',
    "$HOME `id` $(id)",
    "*",
    "\\",
    "a\nb\n",
    "-n",
    "--",
    "",
]


@pytest.fixture(params=["dash", "bash", "busybox sh"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    words = str(request.param).split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    return words


class Started:
    """What became of one start of the script."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.stdout, stderr = process.communicate(timeout=60)
        self.stderr = stderr.decode()
        self.exit_code = process.returncode
        self.pid = process.pid

    @property
    def runtime(self) -> Path:
        return Path(self._words[0])

    @property
    def arguments(self) -> list[str]:
        return self._words[3:]

    @property
    def was_replaced(self) -> bool:
        """Whether the program took the place of the shell."""
        return int(self._words[1]) == self.pid

    @property
    def foreign_python(self) -> str:
        return self._words[2]

    @property
    def _words(self) -> list[str]:
        assert self.exit_code == 0, self.stderr
        return self.stdout.decode().split("\0")[:-1]


class Worker:
    """A folder with runtimes, and a work folder."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.folder, self.shell = folder, shell
        self.workdir = folder / "work folder"
        self.workdir.mkdir()
        self.script = folder / "downloaded" / SCRIPT.name
        self.script.parent.mkdir()
        shutil.copy(SCRIPT, self.script)

    def runtime(self, place: str, program: str = PROGRAM) -> Path:
        folder = self.folder / place
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/lsst-trf").write_text(program)
        (folder / "bin/lsst-trf").chmod(0o755)
        return folder

    def published(self, version: str, root: str = "cvmfs") -> Path:
        return self.runtime(f"{root}/imsim-runtime/{version}/imsim-runtime-{version}")

    def start(self, *arguments: str, **environment: object) -> Started:
        own = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/pilot", "PYTHONHOME": "/pilot", "TMPDIR": str(self.folder)}
        return Started(
            subprocess.Popen(
                [*self.shell, str(self.script), *arguments],
                cwd=self.workdir,
                env={**own, **{name: str(value) for name, value in environment.items()}},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )


@pytest.fixture
def worker(tmp_path: Path, shell: list[str]) -> Worker:
    return Worker(tmp_path, shell)


# ---------------------------------------------------------------- arguments
def test_arguments_arrive_as_they_were_given(worker: Worker) -> None:
    found = worker.start(*AWKWARD, IOD_RUNTIME=worker.runtime("a runtime"))
    assert found.arguments == ["run", *AWKWARD]
    assert found.stderr == ""


def test_our_own_options_are_taken_out(worker: Worker) -> None:
    worker.published("0.9.1")
    roots = f"--runtime-roots={worker.folder}/cvmfs"
    found = worker.start("", "--runtime=0.9.1", "--job=x|y", roots, "last one")
    assert found.arguments == ["run", "", "--job=x|y", "last one"]


def test_the_program_takes_the_place_of_the_shell(worker: Worker) -> None:
    assert worker.start("--job=x", IOD_RUNTIME=worker.runtime("runtime")).was_replaced


@pytest.mark.parametrize("command", ["doctor", "register", "plan", "exit-codes", "--version"])
def test_other_commands_can_be_named(worker: Worker, command: str) -> None:
    found = worker.start(command, "--site", "BNL", IOD_RUNTIME=worker.runtime("runtime"))
    assert found.arguments == [command, "--site", "BNL"]


def test_the_pilots_python_is_kept_from_ours(worker: Worker) -> None:
    assert worker.start(IOD_RUNTIME=worker.runtime("runtime")).foreign_python == ""


# ---------------------------------------------------------------- which runtime
def test_versions_are_found_where_they_are_published(worker: Worker) -> None:
    wanted = worker.published("0.9.1", "second root")
    worker.published("0.9.2", "second root")
    roots = f"/nonexistent:{worker.folder}/second root"
    assert worker.start("--runtime=0.9.1", IOD_RUNTIMES=roots).runtime == wanted


def test_a_list_of_versions_is_tried_in_order(worker: Worker) -> None:
    wanted = worker.published("0.8")
    roots = worker.folder / "cvmfs"
    assert worker.start(IOD_RUNTIME="0.9:0.8", IOD_RUNTIMES=roots).runtime == wanted


def test_this_file_s_own_version_is_preferred(worker: Worker) -> None:
    worker.published("99.0", "first")
    wanted = worker.published(__version__, "second")
    roots = f"{worker.folder}/first:{worker.folder}/second"
    assert worker.start(IOD_RUNTIMES=roots).runtime == wanted


def test_any_version_is_better_than_none(worker: Worker) -> None:
    worker.published("0.7")
    wanted = worker.published("0.9")
    assert worker.start(IOD_RUNTIMES=worker.folder / "cvmfs").runtime == wanted


def test_a_root_may_be_a_runtime_itself(worker: Worker) -> None:
    wanted = worker.runtime("checkout/.venv")
    assert worker.start(IOD_RUNTIMES=f"/nonexistent:{wanted}").runtime == wanted


def test_a_version_that_was_asked_for_is_not_replaced_by_another(worker: Worker) -> None:
    worker.published("0.9")
    worker.runtime("downloaded/imsim-runtime")
    found = worker.start("--runtime=0.8", IOD_RUNTIMES=worker.folder / "cvmfs")
    assert found.exit_code == Failure.RUNTIME_MISSING.code


def test_the_argument_goes_before_the_environment(worker: Worker) -> None:
    wanted = worker.runtime("mine")
    assert worker.start(f"--runtime={wanted}", IOD_RUNTIME=worker.runtime("other")).runtime == wanted


def test_a_runtime_that_cannot_run_is_passed_over(worker: Worker) -> None:
    worker.runtime("broken", "#!/nonexistent/python3\n")
    wanted = worker.runtime("good")
    paths = f"{worker.folder}/broken:{worker.folder}/good"
    assert worker.start(IOD_RUNTIME=paths).runtime == wanted


def test_a_tarball_beside_the_script_will_do(worker: Worker) -> None:
    packed = worker.runtime("packed/imsim-runtime-0.9")
    with tarfile.open(worker.script.parent / "jobO.imsim-runtime-0.9.tar.gz", "w:gz") as archive:
        archive.add(packed, packed.name)
    shutil.rmtree(packed.parent)
    found = worker.start("--job=x", IOD_RUNTIMES="/nonexistent")
    assert found.runtime.parent.parent == worker.folder
    assert found.runtime.parent.name.startswith("imsim-runtime-")
    assert found.arguments == ["run", "--job=x"]


def test_a_zipapp_beside_the_script_will_do(worker: Worker) -> None:
    source = worker.folder / "source"
    source.mkdir()
    (source / "__main__.py").write_text("import sys\nprint('', 0, '', *sys.argv[1:], sep='\\0', end='\\0')\n")
    zipapp.create_archive(source, worker.script.parent / "lsst-trf.pyz")
    found = worker.start(*AWKWARD, IOD_RUNTIMES="/nonexistent", PATH="/usr/local/bin:/usr/bin:/bin")
    assert found.arguments == ["run", *AWKWARD]


# ---------------------------------------------------------------- failures
def check_failure(worker: Worker, found: Started, failure: Failure, *words: str, workdir: Path | None = None) -> None:
    """One line as the pilot reads it, and both reports."""
    assert failure.remedy is Remedy.ELSEWHERE
    assert found.exit_code == failure.code
    assert found.stdout == b""
    lines = found.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"ERROR: {failure.name}: ")
    for word in (*words, failure.action):
        assert word in lines[0]
    folder = workdir or worker.workdir
    report = msgspec.json.decode((folder / "jobReport.json").read_bytes(), type=JobReport)
    error = msgspec.json.decode((folder / "payload_error_report.json").read_bytes(), type=PayloadErrorReport)
    assert (report.exit_code, report.exit_acronym, report.state) == (failure.code, failure.name, "failed")
    assert (error.error_code, error.error_diag) == (failure.code, report.exit_msg)
    assert lines[0] == f"ERROR: {report.exit_msg}"
    assert len(report.exit_msg) <= 256


def test_no_runtime_anywhere(worker: Worker) -> None:
    found = worker.start("--job=x", IOD_RUNTIMES="/cvmfs/nowhere.example.org/lsst:/nonexistent")
    place = "/cvmfs/nowhere.example.org/lsst (CVMFS not mounted?), /nonexistent"
    check_failure(worker, found, Failure.RUNTIME_MISSING, f"no runtime {__version__} in {place}")


@pytest.mark.parametrize(
    "option", [["--workdir", "{}/new one"], ["--workdir={}/new one"]], ids=["two-words", "one-word"]
)
def test_reports_are_left_in_the_work_folder_that_was_named(worker: Worker, option: list[str]) -> None:
    words = [word.format(worker.folder) for word in option]
    found = worker.start("--job=x", *words, IOD_RUNTIMES="/nonexistent")
    check_failure(worker, found, Failure.RUNTIME_MISSING, workdir=worker.folder / "new one")


def test_a_python_that_is_too_old(worker: Worker) -> None:
    runtime = worker.runtime("runtime")
    # Python 2 knows no -I.
    (runtime / "bin/python3").write_text("#!/bin/sh\ncase $1 in *I*) exit 2 ;; esac\nexit 3\n")
    (runtime / "bin/python3").chmod(0o755)
    found = worker.start(IOD_RUNTIME=runtime)
    check_failure(worker, found, Failure.PYTHON_TOO_OLD, f"{runtime}/bin/python3 is older than Python 3.11")


def test_a_python_that_is_gone(worker: Worker) -> None:
    runtime = worker.runtime("runtime")
    (runtime / "bin/python3").symlink_to("/cvmfs/nowhere/bin/python3")
    found = worker.start(IOD_RUNTIME=runtime)
    check_failure(worker, found, Failure.RUNTIME_MISSING, f"{runtime}/bin/python3 does not start")


def test_a_program_whose_interpreter_is_gone(worker: Worker) -> None:
    found = worker.start(IOD_RUNTIME=worker.runtime("runtime", "#!/nonexistent/bin/python3 -I\n"))
    check_failure(worker, found, Failure.RUNTIME_MISSING, "/nonexistent/bin/python3 does not start")


def test_a_program_that_is_empty(worker: Worker) -> None:
    # A shell would take it for a script that does nothing: exit code 0, and no image.
    runtime = worker.runtime("runtime", "")
    check_failure(worker, worker.start(IOD_RUNTIME=runtime), Failure.RUNTIME_MISSING, "lsst-trf is no program")


def test_a_zipapp_without_a_python(worker: Worker) -> None:
    archive = worker.script.parent / "lsst-trf.pyz"
    archive.touch()
    programs = worker.folder / "programs"
    programs.mkdir()
    for name in ("ls", "dirname", "tr", "cut", "mkdir"):
        (programs / name).symlink_to(str(shutil.which(name)))
    shell = str(shutil.which(worker.shell[0]))
    worker.shell = [shell, *worker.shell[1:]]
    found = worker.start(IOD_RUNTIMES="/nonexistent", PATH=programs)
    check_failure(worker, found, Failure.RUNTIME_MISSING, f"no Python here starts {archive}")


def test_a_tarball_that_is_damaged(worker: Worker) -> None:
    packed = worker.runtime("packed/imsim-runtime-0.9")
    (packed / "library").write_bytes(random.Random(1).randbytes(100_000))
    archive = worker.folder / "imsim-runtime.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(packed, packed.name)
    archive.write_bytes(archive.read_bytes()[:50_000])  # what starts lsst-trf is in it, the rest is not
    check_failure(worker, worker.start(IOD_RUNTIME=archive), Failure.RUNTIME_MISSING, "cannot be unpacked")
    assert not list(worker.folder.glob("imsim-runtime-*"))


def test_a_tarball_and_nowhere_to_unpack_it(worker: Worker) -> None:
    archive = worker.folder / "imsim-runtime.tar.gz"
    archive.touch()
    found = worker.start(IOD_RUNTIME=archive, TMPDIR="/nonexistent")
    check_failure(worker, found, Failure.RUNTIME_MISSING, f"{archive} cannot be unpacked in /nonexistent")


def test_awkward_names_leave_the_reports_whole(worker: Worker) -> None:
    found = worker.start(f'--runtime=/no"ne\\{"x" * 300}\n/', IOD_RUNTIMES="/nonexistent")
    check_failure(worker, found, Failure.RUNTIME_MISSING)


def test_a_version_that_is_none_is_wrong_usage(worker: Worker) -> None:
    found = worker.start("--runtime=$(id)", IOD_RUNTIMES="/nonexistent")
    assert found.exit_code == Failure.USAGE.code
    assert "is neither a version nor a path" in found.stderr


# ---------------------------------------------------------------- in step with the package
def test_codes_and_version_are_those_of_the_package() -> None:
    text = SCRIPT.read_text()
    assert re.findall(r"^own_version=(.*)$", text, re.MULTILINE) == [__version__]
    used = set(re.findall(r"\bfail ([A-Z_]+) (\d+)", text))
    assert used == {
        (row.name, str(row.code)) for row in (Failure.USAGE, Failure.RUNTIME_MISSING, Failure.PYTHON_TOO_OLD)
    }


def test_it_is_posix(shell: list[str]) -> None:
    assert SCRIPT.read_text().startswith("#!/bin/sh\n")
    done = subprocess.run([*shell, "-n", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), shlex.join(shell)
