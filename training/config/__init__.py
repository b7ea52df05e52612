"""Recipes: a TOML file goes in, frozen and checked settings come out, one dataclass a section.

Also the folder of a training run, and the workers of a distributed one. Imports `kws` alone.
"""
