"""Learning in context by attention: constructions, reference algorithms, tasks, comparisons and training."""
