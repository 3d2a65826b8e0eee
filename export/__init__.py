"""Trained models as files for others to run: SavedModel, TFLite and ONNX."""
