"""Resizing by matrix products, held against interpolation."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from cliffkit.layers import resize
from cliffkit.resizing import resize_by_products

SIZES = [((8, 10), (15, 19)), ((29, 38), (57, 76)), ((57, 76), (228, 304)), ((16, 20), (5, 33)), ((1, 1), (3, 4))]


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_products_are_interpolation_forward_and_backward(before, after, dtype, tolerance, layout):
    torch.manual_seed(0)
    features = torch.randn(2, 3, *before).to(dtype, memory_format=layout)
    slope = torch.randn(2, 3, *after).to(dtype)
    ours, theirs = (features.clone().requires_grad_() for _ in range(2))
    out = resize_by_products(ours, after)
    expected = F.interpolate(theirs, size=after, mode="bilinear", align_corners=False)
    assert out.dtype == dtype
    torch.testing.assert_close(out, expected, rtol=tolerance, atol=2 * tolerance)
    out.backward(slope), expected.backward(slope)
    scale = float(theirs.grad.abs().max())
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=tolerance * scale)


def test_depth_keeps_its_precision_under_autocast():
    depth = torch.rand(1, 1, 57, 76) * 10
    with torch.autocast("cpu", torch.bfloat16):
        out = resize_by_products(depth, (228, 304))
    torch.testing.assert_close(out, F.interpolate(depth, size=(228, 304), mode="bilinear", align_corners=False))


def test_a_matrix_made_in_inference_serves_training_too():
    with torch.inference_mode():
        resize_by_products(torch.rand(1, 2, 6, 7), (11, 13))
    features = torch.rand(1, 2, 6, 7, requires_grad=True)
    resize_by_products(features, (11, 13)).sum().backward()
    assert features.grad is not None


def test_products_are_one_graph_to_a_compiler_and_copy_nothing():
    graphs = []

    def traced(graph, inputs):
        graphs.append(graph)
        return graph.forward

    features = torch.rand(1, 2, 6, 7)
    out = torch.compile(resize_by_products, backend=traced, fullgraph=True, dynamic=False)(features, (11, 13))
    torch.testing.assert_close(out, resize_by_products(features, (11, 13)))
    torch.compiler.reset()
    (graph,) = graphs
    assert "eye" not in graph.code


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_gpu_that_is_to_be_deterministic_resizes_by_products(monkeypatch, deterministic):
    """On fake tensors, since the choice alone is looked at."""
    used = []
    monkeypatch.setattr("cliffkit.layers.resize_by_products", lambda features, size: used.append(size) or features)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        with FakeTensorMode():
            resize(torch.empty(1, 2, 4, 4, device="cuda"), torch.empty(1, 1, 8, 8, device="cuda"))
            resize(torch.empty(1, 2, 4, 4), torch.empty(1, 1, 8, 8))
    finally:
        torch.use_deterministic_algorithms(before)
    assert used == ([(8, 8)] if deterministic else [])
