"""The focal plane in fifteen lines of text: which of the sensors a request wants. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_SENSOR = re.compile(r"R(\d)(\d)_S(\d)(\d)")
_SIDE = 15
WANTED, EMPTY, THERE, NONE = "#", "o", ".", " "


def focal_plane_rows(devices: Sequence[str], wanted: Collection[str], empty: Collection[str] = ()) -> list[str]:
    """One character a sensor, seen as images show the sky: the camera's x grows to the left, y upwards.

    `#` wanted, `o` wanted but without objects, `.` there. Halves of a wavefront sensor share a place.
    """
    marks = [[NONE] * _SIDE for _ in range(_SIDE)]
    order = NONE + THERE + EMPTY + WANTED
    for name in devices:
        found = _SENSOR.match(name)
        if found is None:
            continue
        a, b, c, d = map(int, found.groups())
        mark = THERE if name not in wanted else EMPTY if name in empty else WANTED
        row, column = _SIDE - 1 - (3 * b + d), _SIDE - 1 - (3 * a + c)
        if 0 <= row < _SIDE and 0 <= column < _SIDE:
            marks[row][column] = max(marks[row][column], mark, key=order.index)
    return ["  ".join(" ".join(row[at : at + 3]) for at in range(0, _SIDE, 3)).rstrip() for row in marks]
