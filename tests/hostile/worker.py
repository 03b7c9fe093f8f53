"""Try inputs as they are asked for, one line each: a surface and a number in, what became of it out.

A process of its own, so that the other can end it when an input hangs where no signal helps, or ends it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    from hostile.made import Made
    from hostile.surfaces import SURFACES
    from hostile.trial import tried

    made = Made(Path(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints past sys.stdout does not answer for us
    known = {}
    for line in sys.stdin:
        surface, number = json.loads(line)
        if surface not in known:
            known[surface] = list(SURFACES[surface]())
        for name in known[surface][number].made:
            made.folder(name)
            answers.write(json.dumps("made") + "\n")
            answers.flush()
        answers.write(json.dumps(tried(known[surface][number], made)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
