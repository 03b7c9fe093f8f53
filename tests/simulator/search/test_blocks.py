"""The table of a component's blocks: the prices that plans pay, and the cheapest cuts."""

import random
from itertools import pairwise

import numpy as np
import pytest
from msgspec.structs import replace
from worlds.instances import instance

from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.simulator.prepare import load_inputs, model_of
from ondevice_sora.simulator.search.block_prices import CHUNK, least_table, price_table, table_of
from ondevice_sora.simulator.search.blocks import num_blocks, segments, some_nodes
from ondevice_sora.simulator.search.problem import problem_of


def tables(problem, part, make=table_of):
    place = problem.places[0]
    return {
        merging: make(part, problem.model.name, place, problem.budget, merging)
        for merging in dict.fromkeys(problem.merging(part))
    }


def test_blocks_cost_what_they_cost_in_a_plan(tmp_path):
    """Priced as one unit with the work of all of its own; to rounding in seconds, to the byte in bytes."""
    shipped, setting = load_inputs("ours-192")
    problems = [instance(seed, tmp_path, num_units=9) for seed in range(12)]
    problems.append(problem_of(shipped.plan, model_of(shipped), [setting], 10**9))
    for problem in problems:
        for part in problem.parts:
            for merging, table in tables(problem, part).items():
                assert len(table.starts) == num_blocks(part)
                for row in range(0, len(table.starts), 1 + len(table.starts) // 100):
                    start, end = int(table.starts[row]), int(table.ends[row])
                    costs = problem.places[0].prices([part.spec(problem.model.name, start, end, merging)])
                    seconds = [table.load_cold_s, table.load_warm_s, table.run_s, table.first_run_s]
                    found = [float(column[row]) for column in seconds]
                    assert found == pytest.approx([float(array[0, 0]) for array in (
                        costs.load_cold_s, costs.load_warm_s, costs.run_s, costs.first_run_s
                    )], rel=1e-9)  # fmt: skip
                    assert (table.resident[row], table.working[row]) == (
                        costs.resident_bytes[0],
                        costs.working_bytes[0],
                    )


def test_a_measured_block_has_the_price_that_was_measured(tmp_path):
    problem = instance(3, tmp_path, num_units=4)
    part = problem.parts[0]
    measured = Measurement("random", part.component.name, "u1", "u2", run_s=Figure(7.0, "measured", "a watch", 0.0))
    setting = problem.places[0].setting
    setting = type(setting)(replace(setting.profile, measurements=(measured,)), setting.device, setting.limit_bytes, "")
    again = problem_of(problem.plan, problem.described, [setting], problem.budget)
    table = tables(again, part)[False]
    (row,) = np.flatnonzero((table.starts == 1) & (table.ends == 3))
    assert table.run_s[row] == 7.0
    # A measured block may cost more than its parts: of such a component nothing is known before all blocks are priced.
    assert not tables(again, part, least_table)[False].run_s.any()


def test_the_cheapest_cut_is_the_least_of_all_cuts(tmp_path):
    draw = random.Random(1)
    for seed in range(20):
        problem = instance(seed, tmp_path, num_units=7)
        part, table = problem.parts[0], tables(problem, problem.parts[0])[problem.merging(problem.parts[0])[0]]
        price = np.array([draw.randint(1, 9) for _ in table.starts], dtype=float)
        by_bounds = {
            (int(start), int(end)): cost
            for start, end, cost, fits in zip(table.starts, table.ends, price, table.fits, strict=True)
            if fits
        }
        least = float("inf")
        for chosen in range(2**6):
            starts = (0, *(unit for unit in range(1, 7) if chosen >> (unit - 1) & 1))
            least = min(least, sum(by_bounds.get(bounds, float("inf")) for bounds in part.bounds(starts)))
        assert table.cheapest(price) == least
        if least < float("inf"):
            cut = table.cheapest_cut(price)
            assert sum(by_bounds[bounds] for bounds in part.bounds(cut)) == least
        else:
            assert table.cheapest_cut(price) is None


def test_units_add_up_to_no_more_than_any_cut_of_them(tmp_path):
    """What the quick bound rests on: of every figure, and for every block."""
    shipped, setting = load_inputs("ours-256")
    problems = [instance(seed, tmp_path, num_units=8) for seed in range(20)]
    problems.append(problem_of(shipped.plan, model_of(shipped), [setting], 10**9))
    for problem in problems:
        for part in problem.parts:
            least = tables(problem, part, least_table)
            for merging, table in tables(problem, part).items():
                for name in ("load_cold_s", "load_warm_s", "run_s", "first_run_s", "resident"):
                    whole, cheapest = getattr(least[merging], name).sum(), table.cheapest(getattr(table, name))
                    assert whole <= cheapest * (1 + 1e-9) + (1 if name == "resident" else 0), name
                before = np.concatenate([[0.0], np.cumsum(least[merging].load_warm_s)])
                assert (before[table.ends] - before[table.starts] <= table.load_warm_s * (1 + 1e-9)).all()


def test_blocks_are_priced_in_small_pieces(tmp_path, monkeypatch):
    """Whoever waits for a table of half a million blocks may stop between any two of them."""
    problem = instance(5, tmp_path, num_units=90)
    sizes = []
    price = problem.places[0].prices.price

    def counted(specs):
        sizes.append(len(specs))
        return price(specs)

    monkeypatch.setattr(problem.places[0].prices, "price", counted)
    *nothing, table = price_table(problem.parts[0], "random", problem.places[0], problem.budget, False)
    assert len(table.starts) == 90 * 91 // 2 == sum(sizes) - 90  # and each unit alone
    assert max(sizes) == CHUNK
    assert nothing == [None] * (len(sizes) - 1)


def test_a_table_of_some_nodes_has_the_blocks_between_them(tmp_path):
    problem = instance(5, tmp_path, num_units=90)
    part = problem.parts[0]
    nodes = some_nodes(part, 10)
    assert set(segments(part)) <= set(nodes)
    assert 8 <= len(nodes) <= 12
    sizes = [sum(unit.stored for unit in part.component.units[a:b]) for a, b in pairwise(nodes)]
    assert max(sizes) < 3 * sum(sizes) / len(sizes)
    table = table_of(part, "random", problem.places[0], problem.budget, False, nodes)
    assert len(table.starts) == len(nodes) * (len(nodes) - 1) // 2
    whole = table_of(part, "random", problem.places[0], problem.budget, False)
    known = dict(zip(zip(whole.starts.tolist(), whole.ends.tolist(), strict=True), whole.run_s, strict=True))
    for start, end, run_s in zip(table.starts, table.ends, table.run_s, strict=True):
        assert run_s == pytest.approx(known[nodes[start], nodes[end]], rel=1e-9)
