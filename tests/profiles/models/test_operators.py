"""The op-graph builder, on graphs small enough to count by hand."""

import pytest

from ondevice_sora.profiles.models.model import Work
from ondevice_sora.profiles.models.operators import Graph, mean_work, unit


def test_a_linear_layer_counts_two_flops_a_multiply_add():
    g = Graph()
    g.output(g.linear(g.input(3 * 10), 10, 20))
    assert g.parameters == 10 * 20 + 20
    assert g.work() == Work(matmul_flops=2 * 3 * 10 * 20, working_elements=3 * 10 + 3 * 20)


def test_a_convolution_writes_as_many_positions_as_told():
    g = Graph()
    g.output(g.convolution(g.input(100 * 4), 4, 8, 9, positions=25, bias=False))
    assert g.parameters == 9 * 4 * 8
    assert g.work() == Work(convolution_flops=2 * 25 * 9 * 4 * 8, working_elements=100 * 4 + 25 * 8)


def test_memory_bound_operators_move_what_they_read_and_write():
    g = Graph()
    a, b = g.input(10), g.input(10)
    g.output(g.move(a, b, weights=3))
    assert g.work() == Work(moved_elements=10 + 10 + 3 + 10, working_elements=30)


def test_matrix_products_do_not_count_as_moved():
    g = Graph()
    g.output(g.linear(g.input(5), 5, 5))
    assert g.work().moved_elements == 0


def test_a_tensor_dies_after_its_last_reader():
    """Alive: x 10 + a 20; a 20 + b 5; b 5 + c 50 = 55. With x and a still there it would be 85."""
    g = Graph()
    a = g.move(g.input(10), writes=20)
    b = g.move(a, writes=5)
    g.output(g.move(b, writes=50))
    assert g.peak_elements() == 55


def test_a_residual_lives_until_it_is_added():
    """x is read by the last operator too: x 10 + a 20 + b 5, then x 10 + b 5 + c 10."""
    g = Graph()
    x = g.input(10)
    b = g.move(g.move(x, writes=20), writes=5)
    g.output(g.move(x, b))
    assert g.peak_elements() == 35


@pytest.mark.parametrize(("held", "peak"), [(False, 60), (True, 67)])
def test_a_held_input_lives_to_the_end(held, peak):
    """Its only reader is the first operator; the peak, 10 + 50, comes at the second."""
    g = Graph()
    state = g.input(7, held=held)
    g.output(g.move(g.move(g.input(10), state), writes=50))
    assert g.peak_elements() == peak


def test_inputs_are_there_before_anything_runs():
    """late 100 + x 10 + y 10, although `late` is only read by the last operator."""
    g = Graph()
    late = g.input(100)
    y = g.move(g.input(10))
    g.output(g.move(late, y, writes=1))
    assert g.peak_elements() == 120


def test_an_output_lives_to_the_end_while_later_operators_run():
    g = Graph()
    early = g.move(g.input(10), writes=40)
    g.output(early, g.move(g.move(early, writes=1), writes=30))
    assert g.peak_elements() == 40 + 1 + 30


def test_what_nobody_reads_is_gone_after_the_operator_that_writes_it():
    g = Graph()
    x = g.input(1)
    g.move(x, writes=100)
    g.output(g.move(x, writes=100))
    assert g.peak_elements() == 101


def test_an_input_that_is_neither_read_nor_held_is_a_mistake():
    g = Graph()
    g.input(5)
    with pytest.raises(AssertionError, match="neither read nor held"):
        g.peak_elements()


def test_attention_materialises_scores_and_softmax():
    """2 items, 3 queries, 5 keys, width 8, 4 heads: scores are 2*4*3*5 = 120 elements.

    Peak: scores, their softmax and v (80); q and k are gone by then. Alive at the first product: 48 + 80 + 80 + 120.
    """
    g = Graph()
    q, k, v = g.input(2 * 3 * 8), g.input(2 * 5 * 8), g.input(2 * 5 * 8)
    g.output(g.attention(q, k, v, batch=2, heads=4, width=8))
    assert g.work() == Work(
        attention_flops=2 * (2 * 2 * 3 * 5 * 8), moved_elements=2 * 120, working_elements=48 + 80 + 80 + 120
    )


def test_a_mask_costs_a_third_copy_of_the_scores():
    """Widths are negligible: the mask, the scores and their sum are alive together."""
    g = Graph()
    q, k, v = g.input(100), g.input(100), g.input(100)
    mask = g.input(7 * 100 * 100, held=True)
    g.output(g.attention(q, k, v, batch=1, heads=7, width=1, bias=mask))
    assert g.peak_elements() == 3 * 70_000 + 100
    assert g.work().moved_elements == (3 + 2) * 70_000


def test_split_copies_and_frees_the_whole():
    g = Graph()
    g.output(*g.split(g.input(30), 3))
    assert g.work() == Work(moved_elements=60, working_elements=60)


def test_token_merges_are_counted_and_moved():
    g = Graph()
    g.output(g.merge_tokens(g.merge_tokens(g.input(10), 5), 10))
    assert g.work() == Work(moved_elements=30, working_elements=15, token_merges=2)


def test_rows_must_be_whole():
    with pytest.raises(AssertionError, match="7 elements are not whole rows of 2"):
        Graph().linear(Graph().input(7), 2, 3)


def test_both_variants_of_a_unit_have_the_same_parameters():
    def graph(width):
        g = Graph()
        g.output(g.linear(g.input(4), 4, width))
        return g

    assert unit("u", graph(3), graph(3)).parameters == 15
    assert unit("u", graph(3)).tdtm is None
    with pytest.raises(AssertionError):
        unit("u", graph(3), graph(4))


def test_mean_work_keeps_totals_and_the_largest_peak():
    long = Work(1.0, 2.0, 40.0, 8.0, working_elements=100.0)
    short = Work(1.0, 2.0, 10.0, 0.0, working_elements=30.0)
    assert mean_work([(long, 3), (short, 1)]) == Work(1.0, 2.0, 32.5, 6.0, working_elements=100.0)
