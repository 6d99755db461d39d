"""Parts of the page *Trade-offs*, a file a view."""
