"""The titles of networks, as cards have them."""

from training.networks.efficientnet import TUNED, EfficientNetLite

INT8_SUFFIX = ", int8"  # of a network whose graph is quantized
WITHOUT_LAST_LAYER = ", without its last layer"  # of one that begins with another classifier


def has_frozen_backbone(title: str) -> bool:
    """Return whether a model of own images whose card has this title learned its last layer alone from them."""
    plain = title.removesuffix(INT8_SUFFIX)
    return plain == EfficientNetLite.title or plain.endswith(WITHOUT_LAST_LAYER)


def is_fine_tuned(title: str) -> bool:
    """Return whether a card's title is that of a pretrained network whose last blocks were fine-tuned."""
    return title.removesuffix(INT8_SUFFIX).endswith(TUNED)
