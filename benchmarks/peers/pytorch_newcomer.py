"""The lecture's two networks in PyTorch as its tutorials teach: python pytorch_newcomer.py mlp|cnn DATA.npz SEED."""

import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def tensors(arrays: dict[str, np.ndarray], part: str) -> TensorDataset:
    images = torch.from_numpy(arrays[part]).permute(0, 3, 1, 2).float() / 255
    return TensorDataset(images, torch.from_numpy(arrays[f"{part}_labels"]).long())


def main(kind: str, data: str, seed: str) -> None:
    torch.manual_seed(int(seed))
    arrays = np.load(data)
    train, test = tensors(arrays, "train"), tensors(arrays, "test")
    model, epochs = (mlp(), 5) if kind == "mlp" else (cnn(), 10)
    optimizer, loss_of = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    start = time.perf_counter()
    for _ in range(epochs):
        for images, labels in DataLoader(train, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            loss_of(model(images), labels).backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in DataLoader(test, batch_size=1000))
    print(json.dumps({"seconds": seconds, "epochs": epochs, "accuracy": correct / len(test)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
