"""`python -m ondevice_sora`, where the command is not on the path."""

from __future__ import annotations

import sys

from ondevice_sora.programs import ondevice_sora

sys.exit(ondevice_sora())
