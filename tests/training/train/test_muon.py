"""Muon: orthogonalized momentum, for matrices and kernels."""

import pytest
import torch
from torch import nn

from training.train.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(10, 10), (128, 30), (16, 90)])
def test_singular_values_are_brought_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    values = torch.linalg.svdvals(orthogonalize(matrix))

    assert values.min() > 0.3
    assert values.max() < 1.4


def test_a_matrix_keeps_its_own_singular_directions():
    left, _, right = torch.linalg.svd(
        torch.randn(20, 8, generator=torch.Generator().manual_seed(1)), full_matrices=False
    )
    matrix = left @ torch.diag(torch.linspace(2, 4, 8)) @ right

    similarity = torch.cosine_similarity(orthogonalize(matrix).flatten(), (left @ right).flatten(), dim=0)

    assert similarity > 0.95


@pytest.mark.parametrize("shape", [(12, 7), (8, 3, 3, 3)])
def test_weights_move_and_keep_the_norm_of_their_rows(shape):
    weights = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(2)))
    before = weights.detach().clone()
    optimizer = Muon([weights], lr=1e-3)
    weights.square().sum().backward()

    optimizer.step()

    assert not torch.equal(weights, before)
    assert weights.norm().item() == pytest.approx(len(weights) ** 0.5, rel=0.01)


def test_a_least_squares_problem_is_solved_downhill():
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(200, 6, generator=generator)
    target = inputs @ torch.linalg.qr(torch.randn(6, 6, generator=generator))[0]
    weights = nn.Parameter(torch.linalg.qr(torch.randn(6, 6, generator=generator))[0])
    optimizer = Muon([weights], lr=0.1)
    losses = []
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 60)
        optimizer.zero_grad()
        loss = (inputs @ weights - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0] / 10
