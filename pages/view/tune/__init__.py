"""What the page Tune draws: the form, what is being tuned, and the models that came of it."""
