"""Training batches: a recipe goes in, normalised features and targets come out.

`task.open_task` opens a recipe's data once. The task has the labels, makes the training batches,
and has the clips for validation and testing. Nothing here needs TensorFlow.
"""
