"""Types and utilities that every package may import.

types              types that several packages pass to each other
assets             the files that are shipped beside the code
amounts            number formatting, for people and for JSON
softmax            probabilities of a prompt's candidates by their scores
wilson             confidence interval of a share
jobs               background jobs, one registry a process
child_process      child processes and the pipe to them
atomic_files       atomic and durable writes
checkpoint_folder  files from which a killed run goes on
file_lock          locks against other writers
safe_csv           CSV without formulas
"""
