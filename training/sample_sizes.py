"""Sample sizes of the evaluation, so that measuring takes no longer than training."""

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class SampleSizes:
    """The images that the evaluation takes: of each out-of-distribution set, and of the test images for photos.

    photos: on 2,000 the accuracy moves by less than half a point from one such sample to another. corrupted: test
    images for each of the 75 severities of corruptions, by default 15,000 in all, so that each of 10,000 test images
    counts; 0: corruptions are not measured.
    """

    ood_set: int = 2_000  # of digits there are only 1,797
    photos: int = 2_000
    corrupted: int = 200

    def at_most(self, other: "SampleSizes") -> "SampleSizes":
        """Return the smaller size of each sample."""
        return SampleSizes(*(min(sizes) for sizes in zip(astuple(self), astuple(other), strict=True)))


FULL_SIZE = SampleSizes()
WITHOUT_CORRUPTIONS = SampleSizes(corrupted=0)
FAST_SIZE = SampleSizes(photos=300, corrupted=0)  # of networks that are trained in seconds
OWN_IMAGES_SIZE = SampleSizes(ood_set=1_000, photos=500, corrupted=20)  # their test images are few, and users wait
