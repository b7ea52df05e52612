"""Enrolment of new words: what `kws-enroll` does.

In: recordings of a word, a word backbone and its negative examples. Out: a model with both forms
and a manifest, a report of what to expect of it, and the few-shot study that measures the method.
"""
