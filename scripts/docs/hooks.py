"""What MkDocs does with our pages: parts that are made from the code are put in when the site is built.

A page says `<!-- made: NAME -->` where the reference of that name is to stand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.docs.api import python_reference
from scripts.docs.commands import command_reference

MADE = {"commands": command_reference, "python": python_reference}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what is made from the code, and leave out what only our tests read of a fence: ```yaml plan."""
    markdown = re.sub(r"<!-- made: (\w+) -->", lambda match: MADE[match[1]](), markdown)
    return re.sub(r"^```(\w+) \w+$", r"```\1", markdown, flags=re.MULTILINE)
