"""Chooses smoothing, context weight, suppression and thresholds for a false-alarm budget.

In: long audio without keywords, test words with their truth, and a budget in false accepts per
hour. Out: the operating point for the manifest, and a report on speakers it was not tuned on.
"""
