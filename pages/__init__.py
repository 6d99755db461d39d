"""The pages; `app.py` names them. Each reads the palette, asks map_core, draws."""
