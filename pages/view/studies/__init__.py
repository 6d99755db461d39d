"""Parts of *Sequence*, *Baselines* and *Evidence*."""
