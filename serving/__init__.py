"""The service: loads exported graphs with onnxruntime and classifies uploaded images over HTTP."""
