"""The names that folders and tables give to splits."""

import re

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = {
    "train": TRAIN,
    "val": VALIDATION,
    "test": TEST,
    "training": TRAIN,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "eval": VALIDATION,
    "testing": TEST,
}
# It matches seg_train, Test Set and val2017 once all but their letters is removed.
DECORATED = re.compile(rf"(?:seg)?({'|'.join(SPLITS)})(?:data)?(?:set|split|images)?")
NO_LETTERS = re.compile(r"[\W\d_]+")


def split_named(name: str) -> str:
    """Return the split that a name is of, also as train_set, Test-Data or val2017; "" for any other name."""
    match = DECORATED.fullmatch(NO_LETTERS.sub("", name.lower()))
    return SPLITS[match[1]] if match else ""
