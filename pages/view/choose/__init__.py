"""The page Choose: a palette found by choosing between replies."""
