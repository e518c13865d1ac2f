"""ONNX -> Graph: one dialect a file, one op family a file."""
