"""The open table, this viewer's palette, and what all pages show of them."""

from pages.view.shell import preload

# The modules here import the libraries that are imported in the background as the app starts.
preload.wait()
