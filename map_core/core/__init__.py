"""Types and utilities that every package may import.

types              types that several packages pass to each other
reward_levels      levels that know that they are in reward units
unknown_sampling   sampling settings of a server that cannot be known
limits             the limits that an operator can set
process_limits     bounds on what this process may take
assets             the files that are shipped beside the code
amounts            number formatting, for people and for JSON
softmax            probabilities of a prompt's candidates by their scores
wilson             confidence interval of a share
jobs               background jobs, one registry a process
compute_once       a result computed once for all threads that ask
weak_cache         what is computed of an object, for as long as it lives
change_signal      a signal that something has changed
child_process      child processes and the pipe to them
atomic_files       atomic and durable writes
checkpoint_folder  files from which a killed run goes on
file_lock          locks against other writers
kept_folder        where the app keeps tables and models
safe_csv           CSV without formulas
cut_replies        replies that their length limit has cut
unused_name        names that are unique among others
"""
