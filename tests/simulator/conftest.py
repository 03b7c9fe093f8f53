import pytest

from plans.schema import load_plan
from profiles.profile import load_profile
from simulator.simulation import setting_of


@pytest.fixture(scope="session")
def shipped_192():
    """ours-192 with its document, and the iPhone 15 Pro."""
    plan, document = load_plan("ours-192")
    profile, device = load_profile("iphone15pro")
    return plan, document, [setting_of(profile, device, plan)]
