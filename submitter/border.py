"""Where the words of the job meet those of the submitter."""

from __future__ import annotations

from types import TracebackType

from submitter.troubles import IodError


class as_iod_error:  # noqa: N801 - reads as the words it stands for
    """Failures of the parts that `lsst-trf` shares with us, as ours."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        from transformation.locations import LocationInvalid
        from transformation.model.failures import Failure, JobError
        from transformation.ports import StorageError

        if isinstance(error, JobError):
            raise IodError(error.failed.failure, error.failed.detail) from None
        if isinstance(error, StorageError):
            raise IodError(error.failure, error.detail) from None
        if isinstance(error, LocationInvalid):
            raise IodError(Failure.STORAGE_UNKNOWN, str(error)) from None
