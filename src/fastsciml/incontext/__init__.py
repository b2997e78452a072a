"""Learning in context: tasks, tokens and transformers that learn from the examples they read."""
