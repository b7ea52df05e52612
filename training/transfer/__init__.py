"""Transfer learning: a small classifier on the embeddings of a published or own network.

In: a recipe with labelled clips and the name of a backbone. Out: scores and predictions of each
split, and on request one exported model of backbone and head.
"""
