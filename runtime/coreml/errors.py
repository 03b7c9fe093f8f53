"""What is wrong with a package, as the user is told."""

from profiles.errors import UserError


class PackageError(UserError):
    """A package that cannot be read, or run: damaged, hostile, or of a kind that is not known here."""
