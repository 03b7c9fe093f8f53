"""Text as it may be named in files and shown on terminals.

What a file says is shown, and terminals obey what they are shown: ESC begins a command, a carriage return goes back
over what was written, a bidirectional override turns the rest of the line round. `printable` writes such characters
out; `Line` and `Title` are schema types that refuse them where a file is read.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""C0, DEL, C1, the separators of lines and paragraphs, bidirectional embeddings, overrides and isolates."""
END = r"$(?!\n)"
"""The end of the text, for Python and for editors alike: `$` alone would also stand before a last newline."""

LINE = msgspec.Meta(pattern=rf"^[^{CONTROLS}]*{END}", description="one line without control characters")
Line = Annotated[str, LINE, msgspec.Meta(max_length=2000)]
Title = Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=120)]
"""What something is called, in the words of whoever wrote the file."""
Checksum = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}" + END, description="64 hexadecimal digits")]
"""SHA-256."""

_UNPRINTABLE = re.compile(rf"(?![\n\t])[{CONTROLS}\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    r"""The text with every character that a terminal would obey written out, as \u001b; newlines and tabs stay.

    JSON and YAML read such an escape, inside quotes, as the character itself.
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_one_line(text: str) -> str:
    """The same with newlines and tabs written out too: what `Line` accepts."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")
