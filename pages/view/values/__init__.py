"""Parts of the page *Values*: cards, definitions, judgements."""
