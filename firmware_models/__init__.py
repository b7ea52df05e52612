"""Shipped models: NAME.tflite and NAME.json pairs, and the demo recording."""
