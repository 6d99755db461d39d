"""Parts of *How it works* and *Limits*."""
