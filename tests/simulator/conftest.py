import pytest

from ondevice_sora.plans.schema import load_plan
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.prepare import setting_of


@pytest.fixture(scope="session")
def shipped_192():
    """ours-192 with its document, and the iPhone 15 Pro."""
    plan, document = load_plan("ours-192")
    profile, device = load_profile("iphone15pro")
    return plan, document, [setting_of(profile, device, plan)]
