"""`python -m ondevice_sora`, where the command is not on the path."""

import sys

from ondevice_sora.commands.main import main

sys.exit(main())
