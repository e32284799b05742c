from functools import partial

import pytest
import torch
from torch import Tensor, nn

from training.datasets.images import DataSet
from training.networks import CNN, MLP, BatchNorm, Mirrored, Net, initialise, parameters
from training.networks.normalisation import Normalise
from training.networks.served import Served


def test_a_cnn_has_the_shapes_and_parameters_of_the_lectures_table():
    shapes, counts, output = [], [], torch.zeros(2, 3, 32, 32)
    for layer in CNN():
        output = layer(output)
        if not isinstance(layer, nn.ReLU):
            shapes.append(tuple(output.shape[1:]))
            counts.append(parameters(layer))

    assert shapes == [(32, 30, 30), (32, 15, 15), (64, 13, 13), (64, 6, 6), (64, 4, 4), (1024,), (64,), (10,)]
    assert counts == [896, 0, 18_496, 0, 36_928, 0, 65_600, 650]
    assert sum(counts[:6]) == 56_320
    assert parameters(CNN()) == 122_570


def test_an_mlp_has_the_shapes_and_parameters_of_the_lectures_table():
    shapes, counts, output = [], [], torch.zeros(2, 1, 28, 28)
    for layer in MLP():
        output = layer(output)
        shapes.append(tuple(output.shape[1:]))
        counts.append(parameters(layer))

    assert shapes == [(784,), (128,), (128,), (10,)]
    assert counts == [0, 100_480, 0, 1_290]
    assert parameters(MLP()) == 101_770


def test_an_mlp_can_have_other_depths_widths_and_activations_and_says_so_in_its_title():
    network = MLP(widths=(64, 32), activation="tanh")

    assert network.title == "mlp 784-64-32-10 tanh"
    assert parameters(network) == 785 * 64 + 65 * 32 + 33 * 10
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert MLP().title == "mlp 784-128-10"


@pytest.mark.parametrize("kind", [MLP, CNN])
def test_dropout_adds_no_parameters_and_keeps_quiet_outside_training(kind):
    network = kind(dropout=0.5)
    images = torch.rand(4, 1, 28, 28) if kind is MLP else torch.rand(4, 3, 32, 32)

    assert parameters(network) == parameters(kind())
    assert not torch.equal(network.train()(images), network(images))
    assert torch.equal(network.eval()(images), network(images))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(MLP, (2, 1, 28, 28)), (CNN, (2, 3, 32, 32)), (partial(Net, 3), (2, 3, 32, 32))],
    ids=["mlp", "cnn", "net"],
)
def test_a_network_has_as_many_outputs_as_classes(kind, shape):
    assert kind(classes=4)(torch.zeros(shape)).shape == (2, 4)


def test_a_net_has_the_shapes_and_parameters_of_its_description():
    shapes, counts, output = [], [], torch.zeros(2, 3, 32, 32)
    for layer in Net(channels=3):
        output = layer(output)
        if not isinstance(layer, nn.GELU):
            shapes.append(tuple(output.shape[1:]))
            counts.append(parameters(layer))

    assert shapes == [
        (24, 31, 31),
        (64, 31, 31), *[(64, 15, 15)] * 4,
        (256, 15, 15), *[(256, 7, 7)] * 4,
        (256, 7, 7), *[(256, 3, 3)] * 4,
        (256, 1, 1), (256,), (10,),
    ]  # fmt: skip
    assert [count for count in counts if count] == [
        24,  # the biases of the whitening, whose kernels are fixed
        64 * 24 * 9, 64, 64 * 64 * 9, 64,
        256 * 64 * 9, 256, 256 * 256 * 9, 256,
        256 * 256 * 9, 256, 256 * 256 * 9, 256,
        2_560,
    ]  # fmt: skip
    assert parameters(Net(channels=3)) == 1_971_352
    assert parameters(Net(channels=1)) == 1_962_120


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 20, 50)])
def test_a_net_takes_images_of_any_size(shape):
    network = Net(channels=shape[0])

    assert network(torch.rand(2, *shape)).shape == (2, 10)
    assert parameters(network) == parameters(Net(channels=shape[0]))


@pytest.fixture(scope="module")
def images(things: DataSet) -> Tensor:
    """Normalised images in colour, whose neighbouring pixels are alike as those of photographs are."""
    smooth = nn.functional.avg_pool2d(things.train.pixels.permute(0, 3, 1, 2).float(), 3, 1)
    return (smooth - smooth.mean((0, 2, 3), keepdim=True)) / smooth.std((0, 2, 3), keepdim=True)


@pytest.fixture(scope="module")
def network(images: Tensor) -> Net:
    """A network that has looked at them."""
    network = Net(channels=3)
    network.look_at(images)
    return network


class TestWhitening:
    def answers(self, network: Net, images: Tensor) -> Tensor:
        """Return what the first layer makes of images, but for its biases: [directions, images and places]."""
        return nn.functional.conv2d(images, network[0].weight).transpose(0, 1).flatten(1).detach()

    def test_the_first_half_of_the_answers_are_uncorrelated_and_of_unit_variance(self, network, images):
        covariance = torch.cov(self.answers(network, images)[:12])

        assert float((covariance - covariance.diag().diag()).abs().max()) < 0.001
        assert covariance.diag().tolist() == pytest.approx([1] * 12, abs=0.1)  # less where next to nothing varies

    def test_the_answers_were_correlated_before(self, images):
        before = torch.corrcoef(self.answers(Net(channels=3), images)[:12])

        assert float((before - torch.eye(12)).abs().max()) > 0.5

    def test_the_second_half_of_the_kernels_is_the_negative_of_the_first(self, network):
        first, second = network[0].weight.detach().split(12)

        assert torch.equal(second, -first)

    def test_a_direction_in_which_nothing_varies_is_not_blown_up(self):
        network = Net(channels=3)

        network.look_at(torch.rand(20, 1, 8, 8).expand(-1, 3, -1, -1))

        assert network[0].weight.isfinite().all()
        assert float(network[0].weight.detach().abs().max()) < 50

    def test_the_kernels_stay_as_they_are_in_training(self, network, images):
        before = network[0].weight.detach().clone()
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.5)

        network.train()(images[:8]).square().sum().backward()
        optimiser.step()

        assert torch.equal(network[0].weight, before)

    @pytest.mark.parametrize(("kind", "shape"), [(MLP, (5, 1, 28, 28)), (CNN, (5, 3, 32, 32))])
    def test_the_other_networks_take_nothing_from_the_images(self, kind, shape):
        network = kind()
        before = [weights.clone() for weights in network.parameters()]

        network.look_at(torch.rand(shape))

        assert all(map(torch.equal, network.parameters(), before))


def test_the_kernels_of_a_net_begin_as_the_identity():
    images = torch.rand(2, 256, 9, 9)
    convolutions = [layer for layer in Net(channels=3) if isinstance(layer, nn.Conv2d)][1:]

    for convolution in convolutions:
        seen = images[:, : convolution.in_channels]
        assert torch.equal(convolution(seen)[:, : convolution.in_channels], seen)
    assert [convolution.in_channels for convolution in convolutions] == [24, 64, 64, 256, 256, 256]


def test_a_batch_norm_learns_a_bias_and_no_scale():
    norm = BatchNorm(4)
    images = 3 * torch.rand(50, 4, 6, 6) + 2

    normed = norm.train()(images)

    assert [name for name, weights in norm.named_parameters() if weights.requires_grad] == ["bias"]
    assert normed.mean((0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=1e-5)
    assert normed.var((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 4, abs=1e-4)


def test_mirrored_gives_an_image_and_its_mirror_image_the_same_answer():
    network = CNN()
    images = torch.rand(4, 3, 32, 32)

    answer = Mirrored(network)(images)

    assert torch.equal(answer, Mirrored(network)(images.flip(3)))
    assert torch.allclose(answer, (network(images) + network(images.flip(3))) / 2)
    assert not torch.allclose(network(images), network(images.flip(3)), atol=1e-4)


def test_frozen_parameters_are_not_counted():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)

    assert parameters(layer) == 6


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"), [(nn.Linear(300, 100), 300, 100), (nn.Conv2d(16, 32, 3), 16 * 9, 32 * 9)]
)
def test_weights_are_drawn_from_glorots_uniform_distribution_and_biases_are_zero(layer, fan_in, fan_out):
    bound = (6 / (fan_in + fan_out)) ** 0.5

    initialise(nn.Sequential(layer))

    assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not layer.bias.detach().any()


def test_a_layer_without_biases_is_initialised_too():
    layer = nn.Linear(300, 100, bias=False)
    nn.init.zeros_(layer.weight)

    initialise(layer)

    assert layer.weight.detach().any()


def test_unit_normalisation_brings_pixels_between_0_and_1_with_channels_first():
    pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)

    normalised = Normalise.to_unit(pixels)(pixels)

    assert normalised.shape == (1, 3, 1, 1)
    assert normalised.dtype == torch.float32
    assert normalised.flatten().tolist() == pytest.approx([0, 0.2, 1])


def test_standard_normalisation_gives_each_channel_mean_0_and_deviation_1():
    generator = torch.Generator().manual_seed(0)
    tops = torch.tensor([256.0, 100.0, 30.0])
    pixels = (torch.rand(50, 8, 8, 3, generator=generator) * tops).to(torch.uint8)

    normalised = Normalise.to_standard(pixels)(pixels)

    assert normalised.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert normalised.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


def test_a_channel_in_which_nothing_differs_is_normalised_to_0():
    pixels = torch.full((20, 4, 4, 3), 255, dtype=torch.uint8)
    pixels[..., 0] = torch.arange(20, dtype=torch.uint8)[:, None, None]

    normalised = Normalise.to_standard(pixels)(pixels)

    assert normalised[:, 0].std() > 0.9
    assert normalised[:, 1:].abs().max() < 1e-3


def test_served_probabilities_are_positive_and_add_up_to_1():
    pixels = torch.randint(0, 256, (5, 28, 28, 1), dtype=torch.uint8)

    (probabilities,) = Served(Normalise.to_unit(pixels), MLP(), 1.0)(pixels)

    assert probabilities.shape == (5, 10)
    assert (probabilities > 0).all()
    assert probabilities.sum(1).tolist() == pytest.approx([1] * 5)


def test_a_higher_temperature_softens_the_answers_and_keeps_their_order():
    pixels = torch.randint(0, 256, (5, 28, 28, 1), dtype=torch.uint8)
    normalise, network = Normalise.to_unit(pixels), MLP()

    cold, warm, hot = (Served(normalise, network, temperature)(pixels)[0] for temperature in (0.5, 1.0, 4.0))

    assert (cold.max(1).values > warm.max(1).values).all()
    assert (warm.max(1).values > hot.max(1).values).all()
    assert torch.equal(cold.argsort(1), hot.argsort(1))
    assert torch.allclose(hot, torch.softmax(network(normalise(pixels)) / 4, 1))


def test_roots_are_taken_before_they_are_brought_to_mean_0_and_deviation_1():
    pixels = torch.randint(0, 256, (50, 8, 8, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    normalise = Normalise.to_roots(pixels)

    normalised = normalise(pixels)
    assert normalised.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert normalised.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    low, middle, high = (
        float(normalise(torch.full((1, 1, 1, 3), level, dtype=torch.uint8))[0, 0, 0, 0]) for level in (0, 64, 255)
    )
    assert (middle - low) / (high - low) == pytest.approx((64 / 255) ** 0.5, abs=1e-5)
