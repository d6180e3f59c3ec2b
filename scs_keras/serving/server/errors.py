"""What a request is refused with: gRPC's codes, and TF Serving's HTTP status for each."""

HTTP = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}  # every other code: 500


class ServingError(Exception):
    """A refused request.

    Args:
        code: name of gRPC's status code.
        message: what the client is told.
        status: HTTP status where it is not the code's.
    """

    def __init__(self, code: str, message: str, status: int | None = None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or HTTP.get(code, 500)

    def without_frames(self) -> "ServingError":
        """Itself, without the tracebacks of it and of what caused it.

        Their frames hold the request, and an error that one of their variables holds would stay with all of it until
        the garbage collector's last generation: some 32 MB bodies later.
        """
        errors: list[BaseException | None] = [self]
        while errors:
            if (error := errors.pop()) is not None and error.__traceback__ is not None:
                error.__traceback__ = None
                errors += error.__cause__, error.__context__
        return self


def invalid(message: str) -> ServingError:
    """The client's mistake: INVALID_ARGUMENT, 400."""
    return ServingError("INVALID_ARGUMENT", message)


def too_large(message: str) -> ServingError:
    """A request beyond a limit of the server's: INVALID_ARGUMENT, 413."""
    return ServingError("INVALID_ARGUMENT", message, 413)


def unavailable(message: str = "The server is shutting down.") -> ServingError:
    """Not now: UNAVAILABLE, 503; another try may find the server."""
    return ServingError("UNAVAILABLE", message)


def of_tensorflow(error: Exception) -> ServingError:
    """An error of TensorFlow's with its code; what is no OpError came from a value that does not fit the graph."""
    message = str(getattr(error, "message", None) or error)
    number = getattr(error, "error_code", None)
    return ServingError(CODES[number] if number in CODES else "INVALID_ARGUMENT", message)


CODES = dict(
    enumerate(
        """OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED
        RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS
        UNAUTHENTICATED""".split()
    )
)  # number: name, the same in TensorFlow and gRPC
NUMBERS = {name: number for number, name in CODES.items()}
