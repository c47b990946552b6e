"""From a recipe to its graph of runs: which trainings, from which masks and weights, for what."""
