import pytest

from ondevice_sora.simulator.prepare import asked


@pytest.fixture(scope="session")
def shipped_192():
    """ours-192 with its document, and the iPhone 15 Pro."""
    loaded, setting = asked("ours-192")
    return loaded, [setting]
