"""Types and utilities that every package may import.

types              types that several packages pass to each other
reward_levels      an array type for levels in reward units
unknown_sampling   sampling settings of a server that are not known
limits             limits that an operator can set
process_limits     bounds on this process's memory and time
heap               settings of the C library's allocator
assets             files that are shipped beside the code
amounts            number formatting, for people and for JSON
remedies           what to do about an error, at the command line
softmax            probabilities of a prompt's candidates by their scores
wilson             confidence interval of a share
jobs               background jobs, one registry per process
compute_once       results computed once for all threads that ask
weak_cache         results cached for the lifetime of an object
change_signal      notification of subscribers about changes
child_process      child processes and the pipe to them
atomic_files       atomic and durable writes
checkpoint_folder  files from which an interrupted run resumes
file_lock          locks against other writers
kept_folder        the folder in which the app keeps tables and models
sidecars           the files beside a table that are about that very table
safe_csv           CSV without formulas
cut_replies        replies that were cut by their length limit
unused_name        names that are unique among others
"""
