"""What tests of commands that generate share: a tiny model's weights, and a folder with a plan of it to work in."""

import pytest


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from worlds.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def planned_folder(tmp_path, monkeypatch):
    import torch
    from worlds.tiny import PLAN

    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
