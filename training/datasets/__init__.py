"""Data sets: folders, tables and archives go in, labelled clips that are read on demand come out.

Splits keep speakers apart where they are known. Nothing here needs TensorFlow.
"""
