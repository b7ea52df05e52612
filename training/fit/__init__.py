"""Training: in goes a recipe, out comes a run folder with weights, logs and learning curves.

`trainer.fit` is the entry; it trains alone or as one of several workers. `hard_negatives` finds
what a trained run gets wrong in running speech, for a second stage.
"""
