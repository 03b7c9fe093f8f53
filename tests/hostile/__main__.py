"""`python tests/hostile`: see hostile/__init__.py."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from hostile.run import main  # noqa: E402  # found once the path is set

sys.exit(main())
