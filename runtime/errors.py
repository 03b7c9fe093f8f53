"""The one exception type by which the runtime tells a user what to mend."""


class UserError(Exception):
    """A mistake in what the user gave us: what was wrong, where, and how to mend it.

    Its text reads `where: what` and, on the next line, the mend; the command line prints that text without a traceback.
    """

    def __init__(self, what: str, where: str | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        message = what if where is None else f"{where}: {what}"
        super().__init__(message if mend is None else f"{message}\n{mend}")
