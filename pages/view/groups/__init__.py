"""Parts of the page *Groups* and of meetings."""
