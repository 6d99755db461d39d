"""Types and utilities that every package may import.

types         types that several packages pass to each other
assets        the files that are shipped beside the code
amounts       numbers as text and as JSON
wilson        confidence interval of a share
jobs          background work, one registry a process
parent_watch  child processes that leave with their parent
atomic_files  files that are complete or not there
file_lock     files held against other writers
safe_csv      CSV in which no text is a formula
"""
