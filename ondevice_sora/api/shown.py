"""How results show themselves: as text, as HTML in a notebook, as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.installation import how_to_install

if TYPE_CHECKING:
    import pandas as pd


def frame(records: Sequence[msgspec.Struct]) -> pd.DataFrame:
    """One row a record, its fields as columns."""
    return frame_of(msgspec.to_builtins(record) for record in records)


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Raises UserError without pandas."""
    try:
        import pandas
    except ModuleNotFoundError:
        raise UserError("data frames need pandas, which is not installed", mend=how_to_install("notebook")) from None
    return pandas.DataFrame(list(rows))


def check_choice(what: str, known: tuple[str, ...]) -> None:
    """Raises UserError for the name of a table that there is not."""
    if what not in known:
        raise UserError(f"there is no table {what!r}", mend=nearest(str(what), list(known)))


def printed(show: Callable[[], None]) -> str:
    """What a command prints."""
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as file:
        show()
    return file.getvalue()


def preformatted(text: str) -> str:
    """Text as it is, for a notebook."""
    from html import escape

    return f"<pre>{escape(text)}</pre>"


def titled_table(title: str, table: Callable[[], pd.DataFrame], text: Callable[[], str]) -> str:
    """A sentence and a data frame for a notebook; the text where there is no pandas."""
    from html import escape

    try:
        return f"<p>{escape(title)}</p>{table().to_html(border=0, na_rep='')}"
    except UserError:
        return preformatted(text())
