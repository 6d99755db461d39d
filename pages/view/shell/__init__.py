"""The frame of every page: markup, errors, help, live components and the live channel."""
