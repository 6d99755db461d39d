"""The migrations, one a file, named after their numbers."""
