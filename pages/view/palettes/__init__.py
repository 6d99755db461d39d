"""Parts of the page *Library*: saved ones, presets, side by side, blends, timeline, files."""
