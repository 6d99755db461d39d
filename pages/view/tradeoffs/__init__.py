"""Parts of the page *Explore*, a file a view."""
