"""The lecture's networks by this project's fast recipes: python -m benchmarks.peers.thimble_fast KIND DATA_DIR SEED."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from training.pipeline import split
from training.recipes import RECIPES
from training.train.allocator import keep_memory
from training.train.loop import train_network


def main(kind: str, data_dir: str, seed: str) -> None:
    keep_memory()
    recipe = replace(RECIPES[f"lecture-{kind}-fast"], seed=int(seed))
    data = recipe.source.load(Path(data_dir) if data_dir else None)
    train, validation = split(recipe, data)
    start = time.perf_counter()
    trained = train_network(recipe, train, validation)
    seconds = time.perf_counter() - start
    accuracy = float((trained.forward_features(data.test.pixels).logits.argmax(1) == data.test.labels).double().mean())
    print(json.dumps({"seconds": seconds, "epochs": recipe.epochs, "accuracy": accuracy}))


if __name__ == "__main__":
    main(*sys.argv[1:])
