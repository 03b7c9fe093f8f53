"""What each precision makes of a block's operations."""

import pytest
import torch

pytest.importorskip("coremltools")

from ondevice_sora.runtime.coreml.export.conversion import PRODUCTS, convert_block
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.program.program import Program
from ondevice_sora.runtime.coreml.quiet import quietly
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.units import BlockModule


def test_mixed_has_products_in_float16_and_the_rest_in_float32(tmp_path):
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    encoder = T5Encoder(config).eval().requires_grad_(False)
    block = BlockModule(encoder.units(), 1, 3)
    inputs = [torch.randn(1, 5, 16), torch.ones(1, 5, dtype=torch.int64)]
    path = tmp_path / "mixed.mlpackage"
    with quietly():
        convert_block(block, inputs, "mixed", outer=("text_hidden", "caption")).save(str(path))
    function = read_package(path).function()
    for operation in function.operations:
        if operation.type in PRODUCTS:
            assert operation.outputs[0].type.dtype == "fp16", operation.name
        elif operation.type in ("add", "mul", "rsqrt", "gelu", "softmax"):
            assert operation.outputs[0].type.dtype == "fp32", operation.name
    program = Program(function, path)
    program.load()
    found = program.run({"text_hidden": inputs[0], "attention_mask": inputs[1]})["caption_out"]
    torch.testing.assert_close(found, block(*inputs)[0], rtol=1e-2, atol=1e-2)
    assert not torch.equal(found, block(*inputs)[0])


@pytest.mark.parametrize(
    ("precision", "dtype", "error"),
    [("int8", "fp16", 5e-2), ("int8_float32", "fp32", 5e-2), ("int4", "fp16", 0.4), ("int4_float32", "fp32", 0.4)],
)
def test_compressed_weights_are_computed_with_in_the_arithmetic_asked_for(tmp_path, precision, dtype, error):
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=64, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    encoder = T5Encoder(config).eval().requires_grad_(False)
    block = BlockModule(encoder.units(), 1, 3)
    inputs = [torch.randn(1, 5, 64), torch.ones(1, 5, dtype=torch.int64)]
    path = tmp_path / "block.mlpackage"
    with quietly():
        convert_block(block, inputs, precision, outer=("text_hidden", "caption")).save(str(path))
    package = read_package(path)
    operations = package.function().operations
    assert any(each.type == "constexpr_blockwise_shift_scale" for each in operations)
    products = [each for each in operations if each.type in ("linear", "matmul")]
    assert products and all(each.outputs[0].type.dtype == dtype for each in products)
    program = Program(package.function(), path)
    program.load()
    found = program.run({"text_hidden": inputs[0], "attention_mask": inputs[1].int()})["caption_out"]
    wanted = block(*inputs)[0]
    assert 1e-4 < float((found - wanted).abs().max() / wanted.abs().max()) < error


def test_coremltools_is_kept_quiet(capfd):
    with quietly() as ct:
        ct.convert  # noqa: B018
    assert capfd.readouterr() == ("", "")
