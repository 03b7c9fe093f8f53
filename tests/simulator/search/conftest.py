"""Searches in these tests are compiled from their first candidate on, where there is a compiler.

Compiled and not, a total may differ in its last digit.
"""

import pytest

from ondevice_sora.simulator.search.candidates import wait_for_compiler


@pytest.fixture(autouse=True, scope="session")
def compiled_from_the_first_on():
    wait_for_compiler()
