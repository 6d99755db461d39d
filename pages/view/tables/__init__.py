"""Parts of the page *Tables*: the catalog, imports, builds and quality."""
