"""The page that `kws-eval report` writes: models side by side, with what made each figure."""
