"""Parts of the page *Palettes*: saved ones, presets, side by side, blends, timeline, files."""
