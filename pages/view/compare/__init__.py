"""Parts of the page *Listen*: prompt, replies, candidates, blind votes, many prompts."""
