"""Parts of the page *Set*: faders, verdict, example, landing and tour."""
