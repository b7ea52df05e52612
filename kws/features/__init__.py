"""Front ends: audio to features.

In: int16 samples, of a stream or of whole clips, and a `FrontendConfig`. Out: float32 frames, the
same for both. Training uses the transforms of this package, so there is one implementation.
"""
