"""The lecture's two networks in Keras as the lecture wrote them: python keras_lecture.py mlp|cnn DATA.npz SEED."""

import json
import sys
import time

import keras
import numpy as np
from keras import layers


def mlp() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(kind: str, data: str, seed: str) -> None:
    keras.utils.set_random_seed(int(seed))
    arrays = np.load(data)
    images, tests = arrays["train"] / np.float32(255), arrays["test"] / np.float32(255)
    model, epochs = (mlp(), 5) if kind == "mlp" else (cnn(), 10)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    model.fit(images, arrays["train_labels"], epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(tests, arrays["test_labels"], verbose=0)
    print(json.dumps({"seconds": seconds, "epochs": epochs, "accuracy": float(accuracy)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
