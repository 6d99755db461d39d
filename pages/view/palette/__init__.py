"""Parts of the page *Palette*: faders, verdict, example, landing and tour."""
