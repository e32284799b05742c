"""Request bodies with images in them, and the labels of a response."""

import base64

MULTIPART = "multipart/form-data; boundary=b"


def coded(content):
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode()


def multipart(*parts, boundary="b"):
    """Return a multipart body; a part is its disposition's parameters and its content."""
    head = "--{}\r\nContent-Disposition: form-data; {}\r\n\r\n"
    pieces = [head.format(boundary, parameters).encode() + content + b"\r\n" for parameters, content in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def labels(response):
    """Return the label of each prediction."""
    return [prediction["label"] for prediction in response.json["predictions"]]
