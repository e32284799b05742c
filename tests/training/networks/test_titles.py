import pytest

from training.networks.efficientnet import EfficientNetLite
from training.networks.titles import WITHOUT_LAST_LAYER, has_frozen_backbone


@pytest.mark.parametrize("title", [EfficientNetLite.title, f"mobilenet{WITHOUT_LAST_LAYER}"])
def test_a_frozen_backbone_is_known_by_its_title_in_int8_too(title):
    assert has_frozen_backbone(title)
    assert has_frozen_backbone(f"{title}, int8")
    assert not has_frozen_backbone("net 64-256-256, int8")
