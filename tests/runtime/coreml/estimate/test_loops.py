"""A loop's bodies count times its rounds, where its program says how many these are."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, inner_operation, looping_package, set_type

from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.package.reading import read_package


def number(value, dtype="int32"):
    return (dtype, (), [value])


def looping(tmp_path, start, compare, limit, change, step, *, swapped=False, also=None, reads="x"):
    """A product [2, 3] x [3, 4] a round, of a loop whose counter is the only variable."""
    writer = Writer()
    writer.input("x", "fp32", (2, 3))
    writer.weight("w", np.ones((4, 3), np.float32), "fp32")
    writer.const("zero", "int32", (), [start])
    writer.const("fixed", "fp32", (2, 3), np.ones(6).tolist())
    loop = writer.operation("while_loop", "rounds", "int32", (), loop_vars=["zero"])
    condition, body = loop.blocks.add(), loop.blocks.add()
    set_type(condition.inputs.add(name="i").type, "int32", ())
    inner_operation(condition, "cast", "i_cast", "int32", (), x="i", dtype=("string", (), ["int32"]))
    sides = ("i_cast", number(limit)) if not swapped else (number(limit), "i_cast")
    inner_operation(condition, compare, "goes_on", "bool", (), x=sides[0], y=sides[1])
    if also is not None:
        inner_operation(condition, "logical_and", "both", "bool", (), x="goes_on", y=also)
    condition.outputs.append("goes_on" if also is None else "both")
    set_type(body.inputs.add(name="j").type, "int32", ())
    inner_operation(body, "linear", "product", "fp32", (2, 4), x=reads, weight="w")
    inner_operation(body, "reduce_sum", "used", "fp32", (), x="product")
    inner_operation(body, change, "next", "int32", (), x="j", y=number(step) if not isinstance(step, str) else step)
    body.outputs.append("next")
    writer.outputs("rounds")
    return count(read_package(writer.save(tmp_path / "loop.mlpackage")).function())


@pytest.mark.parametrize(
    ("start", "compare", "limit", "change", "step", "rounds"),
    [
        (0, "less", 50, "add", 1, 50), (0, "less_equal", 50, "add", 1, 51), (0, "less", 50, "add", 7, 8),
        (10, "greater", 0, "sub", 1, 10), (10, "greater_equal", 0, "sub", 3, 4), (10, "greater", 0, "add", -2, 5),
        (60, "less", 50, "add", 1, 0),
    ],
)  # fmt: skip
def test_rounds_from_a_constant_to_a_constant(tmp_path, start, compare, limit, change, step, rounds):
    found = looping(tmp_path, start, compare, limit, change, step)
    assert (found.matmul_flops, found.open_loops) == (rounds * 2 * 2 * 3 * 4, 0)
    values = start + step * np.arange(200) * (1 if change == "add" else -1)
    goes_on = {"less": np.less, "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal}
    assert rounds == int(np.argmin(goes_on[compare](values, limit))), "as if it were run"


def test_a_limit_on_the_left_and_a_condition_that_always_holds(tmp_path):
    assert looping(tmp_path / "a", 0, "greater", 9, "add", 1, swapped=True).matmul_flops == 9 * 48
    always = ("bool", (), [True])
    assert looping(tmp_path / "b", 0, "less", 9, "add", 1, also=always).matmul_flops == 9 * 48


@pytest.mark.parametrize(
    ("compare", "change", "step"), [("less", "add", -1), ("less", "mul", 2), ("equal", "add", 1), ("less", "add", "j")]
)
def test_rounds_that_are_not_known_count_once(tmp_path, compare, change, step):
    found = looping(tmp_path, 1, compare, 9, change, step)
    assert (found.matmul_flops, found.open_loops) == (48, 1)


def test_a_loop_is_no_constant_because_its_variables_are(tmp_path):
    """The body reads the function's input; one that reads constants only is left out."""
    assert looping(tmp_path / "a", 0, "less", 2, "add", 1, reads="x").matmul_flops == 2 * 48
    assert looping(tmp_path / "b", 0, "less", 2, "add", 1, reads="fixed").matmul_flops == 0


def test_a_conditional_in_a_loop_is_the_larger_branch_in_each_round(tmp_path):
    found = count(read_package(looping_package(tmp_path / "loop.mlpackage", rounds=7)).function())
    assert (found.matmul_flops, found.open_loops) == (7 * 2 * (2 * 2 * 4 * 4), 0)


@pytest.mark.parametrize("kind", ["GRU", "RNN", "LSTM"])
def test_recurrent_networks_as_coremltools_converts_them(tmp_path, kind):
    """Of 50 steps: 3 gates in a GRU, 4 in an LSTM, one in a plain network, each of 64 inputs and 128 of the state."""
    torch = pytest.importorskip("torch")
    from ondevice_sora.runtime.coreml.quiet import quietly

    class Network(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self):
            super().__init__()
            self.cells = getattr(torch.nn, kind)(64, 128, batch_first=True)

        def forward(self, x):
            return self.cells(x)[0]

    with quietly() as ct:
        traced = torch.jit.trace(Network().eval(), torch.zeros(1, 50, 64))
        model = ct.convert(
            traced, inputs=[ct.TensorType("x", (1, 50, 64))], minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        )  # fmt: skip
        model.save(str(tmp_path / "net.mlpackage"))
    gates = {"GRU": 3, "RNN": 1, "LSTM": 4}[kind]
    found = count(read_package(tmp_path / "net.mlpackage").function())
    assert found.flops == 2 * 50 * gates * (128 * 64 + 128 * 128)
    assert found.open_loops == 0 and math.isfinite(found.peak_bytes)
