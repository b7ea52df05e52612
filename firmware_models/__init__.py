"""The models that ship (NAME.tflite with NAME.json), and the demo recording."""
