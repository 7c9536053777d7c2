"""Settings: the `key value` lines of a PhoSim `.pars` file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StageError(Exception):
    """Why a stage cannot go on; its text is the one line that the user sees."""


class Settings:
    """What a stage was asked to do.

    As in PhoSim, the first word of a line is its key, the last line of a key wins, unknown keys do no harm, and a line
    `key INDEX value` fills one place of a table. Object lines are kept aside, as text.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.objects: list[str] = []
        self._lines: list[str] = []
        self._values: dict[str, str] = {}
        self._tables: dict[str, dict[int, str]] = {}
        for line in lines:
            key, _, rest = line.strip().partition(" ")
            if key == "object":
                self.objects.append(line)
            elif key and not key.startswith("#"):
                self._keep(key, rest.strip())

    def _keep(self, key: str, rest: str) -> None:
        self._lines.append(f"{key} {rest}".rstrip())
        index, _, value = rest.partition(" ")
        if value and index.isdecimal():
            self._tables.setdefault(key, {})[int(index)] = value.strip()
        self._values[key] = rest

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        """The value of a key; an error if it has none and there is no default."""
        value = self._values.get(key, default)
        if value is None:
            raise StageError(f"the input has no line '{key}'")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The value of a key as a number."""
        text = self.text(key, None if default is None else str(default))
        try:
            return float(text.split()[0])
        except (ValueError, IndexError):
            raise StageError(f"the value of '{key}' is not a number: '{text}'") from None

    def integer(self, key: str, default: int | None = None) -> int:
        """The value of a key as a whole number (`1000.0` is one)."""
        return int(self.number(key, default))

    def commands(self) -> list[str]:
        """The lines of the physics command file: the driver puts them behind `nsnap`, and checkpoints behind them."""
        places = [number for number, line in enumerate(self._lines) if line.startswith("nsnap ")]
        behind = self._lines[places[0] + 1 :] if places else []
        return [line for line in behind if not line.startswith("checkpoint")]

    def table(self, key: str) -> dict[int, str]:
        """The values of the lines `key INDEX value`, by index."""
        return self._tables.get(key, {})
