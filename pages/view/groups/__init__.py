"""Parts of the page *Agree* and of meetings."""
