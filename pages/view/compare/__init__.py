"""Parts of the page *Compare*: prompt, replies, candidates, blind votes, many prompts."""
