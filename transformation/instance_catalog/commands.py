"""Physics command files (`phosim.py -c`): several texts checked and merged into the one that the simulator gets.

In raytrace a key is the first word of a line and a later line wins; unknown keys are ignored, and every line is copied
into the FITS header. `phosim.py` itself looks for some words *anywhere* in a line (`_DRIVER_WORDS`). So comments and
blank lines are dropped, and no other key may contain such a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from transformation.instance_catalog.grammar import MAX_LINE_BYTES, NUMBER
from transformation.instance_catalog.problems import Findings, LineInvalid, shown

_DRIVER_WORDS = ("extraid", "eventfile", "throughputfile", "centroidfile", "opd")
_SWITCHES = frozenset({"throughputfile", "centroidfile"})
_COLLIDING_SWITCHES = frozenset({"eventfile", "opdfile", "opd"})
"""Their files have fixed names (output.fits, opd.fits), so the sensors of a job would overwrite each other's."""

_NUMERIC = frozenset({"zenith_v", "raydensity", "backalpha", "backbeta", "backgamma", "backdelta", "toypsf"})
_EXAMPLE_FILES = frozenset({"nobackground", "quickbackground", "perfect", "nocosmics"})
"""Names of files under a release's examples/; as keys they do nothing, without a word from PhoSim."""

_OWNED_KEYS = frozenset(
    {
        # identity of the image
        "obshistid", "obsseed", "seed", "filter", "filt", "vistime", "nsnap", "chipid", "pairid",
        "exposureid",
        # what is simulated
        "pointingra", "pointingdec", "rotationangle", "camconfig", "telconfig", "minsource", "catalog",
        "object",
        # how and where it runs
        "checkpointcount", "checkpointtotal", "thread", "bindir", "datadir", "flatdir", "imagedir",
        "instrdir", "outputdir", "seddir", "workdir", "tarfile",
        # files that PhoSim names itself
        "airglowfile", "atmospherefile", "cloudfile", "outputfilename", "trackingfile",
    }
)  # fmt: skip
"""What the plan, the catalog and the job decide: a command that replaced one would make an image no check knows."""

_FORBIDDEN_CHARACTER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_COMMAND = re.compile(r"[!-~]+(?: [!-~]+)*")
_KEY = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_EXTRA_ID = re.compile(r"[0-9]{1,9}")
_LARGEST_INT32 = 2**31 - 1


class PhysicsCommands(msgspec.Struct, frozen=True, kw_only=True):
    """Commands in the order in which they take effect."""

    lines: tuple[str, ...]
    """Without comments, blanks in a row or ends of line."""
    values: Mapping[str, tuple[str, ...]]
    """The words after each key, of the last line that has it."""

    @property
    def text(self) -> str:
        """The file for the simulator. Without a newline at its end PhoSim 5/6 stops, with exit code 0."""
        return "".join(line + "\n" for line in self.lines)

    @property
    def extraid(self) -> str:
        """What PhoSim appends to obshistid in all names and headers; mostly nothing."""
        return self._first_word("extraid", "")

    @property
    def centroidfile(self) -> bool:
        """Whether each unit also makes a centroid table."""
        return float(self._first_word("centroidfile", "0")) != 0

    @property
    def throughputfile(self) -> bool:
        """Whether each unit also makes a throughput table."""
        return float(self._first_word("throughputfile", "0")) != 0

    @property
    def zenith_v(self) -> float | None:
        """Sky brightness at the zenith in V magnitudes per square arcsec; 1000 is no sky. None: PhoSim's own."""
        return self.number("zenith_v")

    def number(self, key: str) -> float | None:
        """The first word after a key as a number; None if the key is not there or no number follows it."""
        word = self._first_word(key, "")
        return float(word) if NUMBER.fullmatch(word) else None

    def observation_id(self, obshistid: int) -> int:
        """The number that names and headers carry: obshistid with `extraid` appended.

        Raises `CommandsInvalid` if PhoSim's 32-bit integers cannot hold it.
        """
        joined = int(f"{obshistid}{self.extraid}")
        if joined > _LARGEST_INT32:
            findings = Findings()
            what = f"obshistid {obshistid} with extraid {self.extraid} gives {joined}, more than {_LARGEST_INT32}"
            findings.add("commands", 0, LineInvalid(what, "use a shorter obshistid or extraid"))
            findings.raise_as_commands()
        return joined

    def _first_word(self, key: str, default: str) -> str:
        return (self.values.get(key) or (default,))[0]


def read_physics_commands(texts: Sequence[tuple[str, str]]) -> PhysicsCommands:
    """Merge command files, given as (name, text), in their order. Raises `CommandsInvalid`."""
    findings = Findings()
    commands: list[list[str]] = []
    for name, text in texts:
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                commands.extend(_read_line(line.removesuffix("\r")))
            except LineInvalid as cause:
                findings.add(name, number, cause)
    findings.raise_as_commands()
    commands = list(_without_replaced_extraids(commands))
    return PhysicsCommands(
        lines=tuple(" ".join(words) for words in commands),
        values=MappingProxyType({key: tuple(values) for key, *values in commands}),
    )


def _without_replaced_extraids(commands: list[list[str]]) -> Iterator[list[str]]:
    """phosim.py appends the extraid of every line it finds: only the last may stay."""
    last = max((i for i, words in enumerate(commands) if words[0] == "extraid"), default=-1)
    return (words for i, words in enumerate(commands) if words[0] != "extraid" or i == last)


def _read_line(line: str) -> list[list[str]]:
    """The command of a line as words; nothing for a comment or a blank line."""
    if len(line.encode("utf-8", "surrogatepass")) > MAX_LINE_BYTES:
        raise LineInvalid(f"the line is longer than {MAX_LINE_BYTES} bytes", "break it up: PhoSim cuts longer lines")
    if found := _FORBIDDEN_CHARACTER.search(line):
        raise LineInvalid(f"the line has the control character 0x{ord(found[0]):02x}", "remove it")
    words = line.partition("#")[0].split()
    if not words:
        return []
    if _COMMAND.fullmatch(" ".join(words)) is None or _KEY.fullmatch(words[0]) is None:
        raise LineInvalid(f"{shown(line.strip())} is no command", "write `key value`, in plain ASCII")
    _check_command(words[0], words[1:])
    return [words]


def _check_command(key: str, values: list[str]) -> None:
    if key in _OWNED_KEYS:
        raise LineInvalid(f"the command {key} is not allowed: the catalog and the job decide it", "remove the line")
    if key in _EXAMPLE_FILES:
        raise LineInvalid(
            f"{key} is the name of a command file, not of a command", f"list $(PHOSIMDIR)/examples/{key} under commands"
        )
    if key == "extraid":
        if len(values) != 1 or _EXTRA_ID.fullmatch(values[0]) is None:
            raise LineInvalid(f"extraid is {shown(' '.join(values))}, not a few digits", "write digits only")
    elif key in _SWITCHES | _COLLIDING_SWITCHES | _NUMERIC:
        _check_number(key, values)
    elif any(word in " ".join((key, *values)) for word in _DRIVER_WORDS):
        raise LineInvalid(f"phosim.py would misread {key}, by a word within the line", "remove the line")


def _check_number(key: str, values: list[str]) -> None:
    if not values or NUMBER.fullmatch(values[0]) is None:
        raise LineInvalid(f"{key} is {shown(' '.join(values))}, not a number", "write a finite decimal number")
    if key in _COLLIDING_SWITCHES and float(values[0]) != 0:
        raise LineInvalid(
            f"{key} writes a file of one fixed name, in which the sensors of a job collide", "remove the line"
        )
