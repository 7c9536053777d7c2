"""JSON and plain objects as values of a type, from any thread.

msgspec (0.22) describes a type to itself when it first meets it, and shows the description before it is whole: another
thread that decodes the same type meanwhile follows a null pointer, and the process dies with SIGSEGV. Here a type is
described by one thread while the others wait; what is described is only read.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_DESCRIBING = threading.Lock()
_DECODERS: dict[object, msgspec.json.Decoder[Any]] = {}


@overload
def decode(content: bytes | str, kind: type[T]) -> T: ...
@overload
def decode(content: bytes | str, kind: Any) -> Any: ...
def decode(content: bytes | str, kind: Any) -> Any:
    """The JSON document as that type; raises `msgspec.DecodeError`, `UnicodeDecodeError`, and `RecursionError` on
    brackets nested a thousand deep."""
    return _decoder(kind).decode(content)


@overload
def convert(document: object, kind: type[T]) -> T: ...
@overload
def convert(document: object, kind: Any) -> Any: ...
def convert(document: object, kind: Any) -> Any:
    """Parsed JSON or TOML as that type; raises `msgspec.ValidationError`."""
    _decoder(kind)
    return msgspec.convert(document, kind)


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    decoder = _DECODERS.get(kind)
    if decoder is None:
        with _DESCRIBING:
            decoder = _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    return decoder
