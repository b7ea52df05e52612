"""Knowledge distillation: a small network learns from the answers of large ones.

In come a cache of clips and a teacher (a run, a finished model, or a published embedding); soft
labels or features of each clip go into the cache, and a loss for features goes to training.
"""
