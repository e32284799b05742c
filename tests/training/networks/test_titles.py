import pytest

from training.networks.efficientnet import EfficientNetLite
from training.networks.titles import WITHOUT_LAST_LAYER, has_frozen_backbone, is_fine_tuned


@pytest.mark.parametrize("title", [EfficientNetLite.title, f"mobilenet{WITHOUT_LAST_LAYER}"])
def test_a_frozen_backbone_is_known_by_its_title_in_int8_too(title):
    assert has_frozen_backbone(title)
    assert has_frozen_backbone(f"{title}, int8")
    assert not has_frozen_backbone("net 64-256-256, int8")


def test_a_fine_tuned_network_is_not_a_frozen_one():
    title = EfficientNetLite(32, tuned_blocks=2).title

    assert is_fine_tuned(title)
    assert is_fine_tuned(f"{title}, int8")
    assert not has_frozen_backbone(title)
    assert not is_fine_tuned(EfficientNetLite.title)
