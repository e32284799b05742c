import pytest
import torch
from torch import Tensor, nn

from training.datasets.labelled import TrainTest
from training.networks.base import count_parameters
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.net import BatchNorm, Net, PooledConvolution


def test_a_net_has_the_shapes_and_parameters_of_its_description():
    shapes, counts, output = [], [], torch.zeros(2, 3, 32, 32)
    for layer in Net(channels=3):
        output = layer(output)
        if not isinstance(layer, nn.GELU):
            shapes.append(tuple(output.shape[1:]))
            counts.append(count_parameters(layer))

    assert shapes == [
        (24, 31, 31),
        (64, 30, 30), *[(64, 15, 15)] * 4,
        (256, 14, 14), *[(256, 7, 7)] * 4,
        (256, 6, 6), *[(256, 3, 3)] * 4,
        (256, 1, 1), (256,), (10,),
    ]  # fmt: skip
    assert [count for count in counts if count] == [
        24,  # the biases of the whitening, whose kernels are fixed
        64 * 24 * 9, 64, 64 * 64 * 9, 64,
        256 * 64 * 9, 256, 256 * 256 * 9, 256,
        256 * 256 * 9, 256, 256 * 256 * 9, 256,
        2_560,
    ]  # fmt: skip
    assert count_parameters(Net(channels=3)) == 1_971_352
    assert count_parameters(Net(channels=1)) == 1_962_120


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 20, 50)])
def test_a_net_takes_images_of_any_size(shape):
    network = Net(channels=shape[0])

    assert network(torch.rand(2, *shape)).shape == (2, 10)
    assert count_parameters(network) == count_parameters(Net(channels=shape[0]))


@pytest.fixture(scope="module")
def images(things: TrainTest) -> Tensor:
    """Normalized images in colour, whose neighbouring pixels are alike as those of photographs are."""
    smooth = nn.functional.avg_pool2d(things.train.pixels.permute(0, 3, 1, 2).float(), 3, 1)
    return (smooth - smooth.mean((0, 2, 3), keepdim=True)) / smooth.std((0, 2, 3), keepdim=True)


@pytest.fixture(scope="module")
def network(images: Tensor) -> Net:
    """A network whose whitening is computed from them."""
    network = Net(channels=3)
    network.init_from_data(images)
    return network


class TestWhitening:
    def outputs(self, network: Net, images: Tensor) -> Tensor:
        """Return the outputs of the first layer without its biases: [directions, images and places]."""
        return nn.functional.conv2d(images, network[0].weight).transpose(0, 1).flatten(1).detach()

    def test_the_first_half_of_the_outputs_are_uncorrelated_and_of_unit_variance(self, network, images):
        covariance = torch.cov(self.outputs(network, images)[:12])

        assert float((covariance - covariance.diag().diag()).abs().max()) < 0.001
        assert covariance.diag().tolist() == pytest.approx([1] * 12, abs=0.1)  # less where hardly anything varies

    def test_the_outputs_were_correlated_before(self, images):
        before = torch.corrcoef(self.outputs(Net(channels=3), images)[:12])

        assert float((before - torch.eye(12)).abs().max()) > 0.5

    def test_the_second_half_of_the_kernels_is_the_negative_of_the_first(self, network):
        first, second = network[0].weight.detach().split(12)

        assert torch.equal(second, -first)

    def test_a_direction_in_which_nothing_varies_gets_small_kernels(self):
        network = Net(channels=3)

        network.init_from_data(torch.rand(20, 1, 8, 8).expand(-1, 3, -1, -1))

        assert network[0].weight.isfinite().all()
        assert float(network[0].weight.detach().abs().max()) < 50

    def test_the_kernels_stay_as_they_are_in_training(self, network, images):
        before = network[0].weight.detach().clone()
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.5)

        network.train()(images[:8]).square().sum().backward()
        optimizer.step()

        assert torch.equal(network[0].weight, before)

    @pytest.mark.parametrize(("kind", "shape"), [(MLP, (5, 1, 28, 28)), (CNN, (5, 3, 32, 32))])
    def test_the_other_networks_compute_nothing_from_the_images(self, kind, shape):
        network = kind()
        before = [weights.clone() for weights in network.parameters()]

        network.init_from_data(torch.rand(shape))

        assert all(map(torch.equal, network.parameters(), before))


def test_the_kernels_of_a_net_begin_as_the_identity():
    images = torch.rand(2, 256, 8, 8)
    convolutions = [layer for layer in Net(channels=3) if isinstance(layer, nn.Conv2d)][1:]

    for convolution in convolutions:
        inputs = images[:, : convolution.in_channels]
        assert torch.equal(convolution(inputs)[:, : convolution.in_channels], inputs)
    assert [convolution.in_channels for convolution in convolutions] == [24, 64, 64, 256, 256, 256]


@pytest.mark.parametrize("shape", [(9, 9), (8, 8), (9, 8), (8, 9)])
def test_a_convolution_before_a_pool_computes_only_what_the_pool_takes(shape):
    before_pool = PooledConvolution(3, 5, 3, padding="same")
    whole = nn.Conv2d(3, 5, 3, padding="same")
    whole.load_state_dict(before_pool.state_dict())
    images = torch.randn(2, 3, *shape)

    outputs = before_pool(images)

    assert outputs.shape == (2, 5, 8, 8)
    assert torch.allclose(outputs, whole(images)[..., :8, :8], atol=1e-6)


def test_a_batch_norm_learns_a_bias_and_no_scale():
    norm = BatchNorm(4)
    images = 3 * torch.rand(50, 4, 6, 6) + 2

    normed = norm.train()(images)

    assert [name for name, weights in norm.named_parameters() if weights.requires_grad] == ["bias"]
    assert normed.mean((0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=1e-5)
    assert normed.var((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 4, abs=1e-4)
