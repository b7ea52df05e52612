"""Decision: posteriors to detections.

In: the posterior of each hop (for the energy gate, its audio). Out: smoothed scores after
the speech-context penalty, and the detections of the firing rule, for streams and recordings.
"""
