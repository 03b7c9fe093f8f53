"""Weights load under their published names, or one message says by name what is wrong."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.networks.t5 import UNUSED_PREFIXES, T5Encoder
from ondevice_sora.runtime.networks.weights import MisfitError, is_finite, load_weights


@pytest.fixture
def network() -> nn.Module:
    return nn.ModuleDict({"first": nn.Linear(2, 3), "second": nn.Linear(3, 1)})


@pytest.fixture
def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: torch.randn(tensor.shape) for name, tensor in network.state_dict().items()}


def save_shards(directory: Path, shards: dict[str, dict[str, Tensor]]) -> None:
    for file, tensors in shards.items():
        save_file(tensors, directory / file)
    names = {name: file for file, tensors in shards.items() for name in tensors}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def split(weights: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    return {
        f"{part}.safetensors": {name: tensor for name, tensor in weights.items() if name.startswith(part)}
        for part in ("first", "second")
    }


def assert_holds(network: nn.Module, weights: dict[str, Tensor]) -> None:
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_one_file_loads(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    load_weights(network, tmp_path)
    assert_holds(network, weights)


def test_shards_load(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_shards(tmp_path, split(weights))
    load_weights(network, tmp_path)
    assert_holds(network, weights)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_of_tensors_loads(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path, new_format: bool
) -> None:
    torch.save(weights, tmp_path / "model.bin", _use_new_zipfile_serialization=new_format)
    load_weights(network, tmp_path)
    assert_holds(network, weights)


def test_a_network_on_the_meta_device_takes_the_tensors(weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    with torch.device("meta"):
        network = nn.ModuleDict({"first": nn.Linear(2, 3), "second": nn.Linear(3, 1)})
    load_weights(network, tmp_path)
    assert_holds(network, weights)


def test_half_precision_is_widened(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in weights.items()}
    save_file(halves, tmp_path / "model.safetensors")
    load_weights(network, tmp_path)
    assert network.state_dict()["first.weight"].dtype == torch.float32
    assert_holds(network, {name: tensor.float() for name, tensor in halves.items()})


@pytest.mark.parametrize("given_name", ["shared.weight", "encoder.embed_tokens.weight"])
@pytest.mark.parametrize("on_meta", [True, False])
def test_tied_tensors_need_one_entry_and_the_decoder_is_passed_over(
    text_encoder: T5Encoder, tmp_path: Path, given_name: str, on_meta: bool
) -> None:
    whole = {name: torch.randn(tensor.shape) for name, tensor in text_encoder.state_dict().items()}
    table = whole.pop("shared.weight")
    whole.pop("encoder.embed_tokens.weight")
    save_file({**whole, given_name: table, "decoder.x": table.clone()}, tmp_path / "model.safetensors")
    with torch.device("meta" if on_meta else "cpu"):
        encoder = T5Encoder(text_encoder.config)
    load_weights(encoder, tmp_path, unused_prefixes=UNUSED_PREFIXES)
    assert torch.equal(encoder.shared.weight, table)
    assert torch.equal(encoder.encoder.embed_tokens.weight, table)


def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights["first.weight"] = torch.zeros(3, 5)
    weights["third.weight"] = weights.pop("second.bias")
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(MisfitError) as caught:
        load_weights(network, tmp_path)
    assert caught.value.misfit.missing == ("second.bias",)
    assert caught.value.misfit.unexpected == ("third.weight",)
    assert caught.value.misfit.misshapen == {"first.weight": ((3, 5), (3, 2))}
    assert "1 missing: second.bias; 1 unexpected: third.weight; 1 misshapen: first.weight [3, 5] for [3, 2]" in str(
        caught.value
    )
    assert_holds(network, before)


def test_a_truncated_file_is_said_to_be_cut_short(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    save_file(weights, file)
    whole = file.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"model.safetensors: not a whole safetensors file.*\n.*cut short"):
            load_weights(network, tmp_path)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_truncated_pickle_is_an_error_of_the_project(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path, new_format: bool
) -> None:
    file = tmp_path / "model.pt"
    torch.save(weights, file, _use_new_zipfile_serialization=new_format)
    whole = file.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 9):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"model.pt"):
            load_weights(network, tmp_path)


def test_a_missing_shard_is_named(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_shards(tmp_path, split(weights))
    (tmp_path / "second.safetensors").unlink()
    with pytest.raises(UserError, match=r"shard second.safetensors is missing"):
        load_weights(network, tmp_path)


def test_a_tensor_missing_from_its_shard_is_named(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    save_shards(tmp_path, split(weights))
    save_file({"second.weight": weights["second.weight"]}, tmp_path / "second.safetensors")
    with pytest.raises(UserError, match=r"second.bias is not in second.safetensors"):
        load_weights(network, tmp_path)


def test_an_index_cannot_point_elsewhere(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "outside.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    names = dict.fromkeys(weights, "../outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(UserError, match=r"expected the name of a file beside this one, found '../outside"):
        load_weights(network, folder)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"weight_map": 3}', "\ufeff\x00", json.dumps({"weight_map": {"a": "x" * 100_000}})]
)
def test_a_broken_index_is_an_error_of_the_project(network: nn.Module, tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(UserError, match=r"index\.json: .*\n?It must be JSON with a .weight_map"):
        load_weights(network, tmp_path)


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.eye(3, 2).to_sparse(), "sparse"),
        (torch.ones(3, 2, dtype=torch.int64), "int64"),
        (torch.ones(3, 2, dtype=torch.bool), "bool"),
        (torch.ones(3, 2, dtype=torch.complex64), "complex64"),
        (torch.ones(3, 2).to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (torch.empty(3, 2, device="meta"), "without values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pickled_tensor_that_is_no_weight_is_named(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path, tensor: Tensor, kind: str
) -> None:
    torch.save({**weights, "first.weight": tensor}, tmp_path / "model.bin")
    with pytest.raises(UserError, match=rf"model\.bin: first.weight is {kind}; weights are dense and float16"):
        load_weights(network, tmp_path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_a_safetensor_that_is_no_float_is_named(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path, dtype: torch.dtype
) -> None:
    save_file({**weights, "first.weight": torch.ones(3, 2).to(dtype)}, tmp_path / "model.safetensors")
    with pytest.raises(
        UserError, match=r"model\.safetensors: first.weight is [A-Z0-9_]+; weights are dense and float16"
    ):
        load_weights(network, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_value_that_is_not_finite_is_refused(
    network: nn.Module, weights: dict[str, Tensor], tmp_path: Path, value: float, suffix: str
) -> None:
    weights["second.bias"][0] = value
    save = save_file if suffix == ".safetensors" else torch.save
    save(weights, tmp_path / f"model{suffix}")
    with pytest.raises(UserError, match=r"model\..*: second.bias has values that are not finite"):
        load_weights(network, tmp_path)


def test_what_is_not_needed_may_be_anything(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    others = {"unused.counter": torch.ones(1, dtype=torch.int64), "unused.x": torch.full((1,), torch.nan)}
    save_file({**weights, **others}, tmp_path / "model.safetensors")
    load_weights(network, tmp_path, unused_prefixes=("unused.",))
    assert_holds(network, weights)


def test_a_deflated_pickle_is_one_message(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    """torch writes zip archives without compression, and maps them into memory as they are."""
    torch.save(weights, tmp_path / "stored")
    deflated = zipfile.ZipFile(tmp_path / "model.bin", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "stored") as stored, deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    with pytest.raises(UserError, match=r"model\.bin: stored/data.pkl in it is compressed"):
        load_weights(network, tmp_path)


def test_names_without_end_are_cut_in_the_message(network: nn.Module, tmp_path: Path) -> None:
    save_file({"n" * 100_000: torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError) as caught:
        load_weights(network, tmp_path)
    assert len(str(caught.value)) < 1000


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.target), 0o700)


@pytest.mark.parametrize("save", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))])
def test_a_malicious_pickle_is_refused_and_does_not_run(network: nn.Module, tmp_path: Path, save: object) -> None:
    target = tmp_path / "harm"
    assert callable(save)
    save({"first.weight": Malicious(target)}, tmp_path / "model.bin")
    with pytest.raises(UserError, match=r"model.bin: refused: .*could run code"):
        load_weights(network, tmp_path)
    assert not target.exists()


def test_a_pickle_of_something_else_is_refused(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="not a mapping of names to tensors"):
        load_weights(network, tmp_path)


def test_no_weights_or_too_many_are_errors(network: nn.Module, weights: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights here"):
        load_weights(network, tmp_path)
    with pytest.raises(UserError, match="no such file or directory"):
        load_weights(network, tmp_path / "nowhere")
    for name in ("a", "b"):
        save_file(weights, tmp_path / f"{name}.safetensors")
    with pytest.raises(UserError, match=r"2 weight files and no index: a.safetensors, b.safetensors"):
        load_weights(network, tmp_path)
    load_weights(network, tmp_path / "a.safetensors")
    assert_holds(network, weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_shows_wherever_it_lies(dtype: torch.dtype, value: float) -> None:
    tensor = torch.linspace(-1, 1, 1001, dtype=dtype)
    assert is_finite(tensor)
    assert is_finite(tensor[:0])
    for place in (0, 500, 1000):
        changed = tensor.clone()
        changed[place] = value
        assert not is_finite(changed)
