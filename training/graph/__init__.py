"""ONNX graphs: export and int8 quantization."""
