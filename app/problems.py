"""The errors that clients receive, each with its code, HTTP status and whether to retry.

    Problem
    ├── InvalidInput 400          ├── PayloadTooLarge 413        ├── AiError 502
    ├── Unauthorized 401          ├── UnsupportedMediaType 415   ├── StorageError 502
    ├── Forbidden 403             ├── ValidationFailed 422       ├── DatabaseError 503
    ├── NotFound 404              ├── RateLimited 429            ├── ServiceUnavailable 503
    ├── MethodNotAllowed 405      └── InternalError 500
    ├── AlreadyExists 409
    └── Conflict 409

The docstring of each class is its default message. The code is set where the error is raised.
"""

from typing import Any, ClassVar


class Problem(Exception):
    """Something went wrong."""

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Any = None,
        retry_after: int | None = None,
    ) -> None:
        """`details` is anything that msgspec can encode; `retry_after` is in whole seconds."""
        self.message = message or self.__class__.__doc__ or self.code
        self.details = details
        self.retry_after = retry_after
        super().__init__(self.message)


class InvalidInput(Problem):
    """The request could not be read."""

    code, status = "INVALID_INPUT", 400


class Unauthorized(Problem):
    """Sign in, or send an API token."""

    code, status = "UNAUTHORIZED", 401


class Forbidden(Problem):
    """Your role does not allow this."""

    code, status = "FORBIDDEN", 403


class NotFound(Problem):
    """There is no such thing here."""

    code, status = "NOT_FOUND", 404


class MethodNotAllowed(Problem):
    """This method is not allowed here."""

    code, status = "METHOD_NOT_ALLOWED", 405


class AlreadyExists(Problem):
    """This already exists."""

    code, status = "ALREADY_EXISTS", 409


class Conflict(Problem):
    """It has changed since you looked."""

    code, status = "CONFLICT", 409


class PayloadTooLarge(Problem):
    """This is larger than its limit."""

    code, status = "PAYLOAD_TOO_LARGE", 413


class UnsupportedMediaType(Problem):
    """A changing request must be application/json."""

    code, status = "UNSUPPORTED_MEDIA_TYPE", 415


class ValidationFailed(Problem):
    """The request breaks a rule; details list path, rule and message."""

    code, status = "VALIDATION_FAILED", 422

    @classmethod
    def at(cls, path: str, rule: str, message: str) -> "ValidationFailed":
        """Return the error for one broken rule; `path` is like `scenes.0.duration`."""
        return cls(message, details=[{"path": path, "rule": rule, "message": message}])


class RateLimited(Problem):
    """Too many requests; try again later."""

    code, status, retryable = "RATE_LIMITED", 429, True


class AiError(Problem):
    """The model failed."""

    code, status, retryable = "AI_ERROR", 502, True


class StorageError(Problem):
    """Object storage failed."""

    code, status, retryable = "STORAGE_ERROR", 502, True


class DatabaseError(Problem):
    """The database did not answer; try again."""

    code, status, retryable = "DATABASE_ERROR", 503, True


class ServiceUnavailable(Problem):
    """The server is busy; try again."""

    code, status, retryable = "SERVICE_UNAVAILABLE", 503, True


class InternalError(Problem):
    """Something broke on our side; the request id finds it in the log."""

    code, status = "INTERNAL_ERROR", 500


class ProjectBusy(Conflict):
    """A run is already working on this project."""


class LeaseLost(Exception):
    """The lease expired and another worker claimed the job; this attempt writes nothing more."""


class StaleBase(Problem):
    """The scene was changed by someone else while the model was writing."""

    code, status = "STALE_BASE", 409
