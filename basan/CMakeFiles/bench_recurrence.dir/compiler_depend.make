# Empty compiler generated dependencies file for bench_recurrence.
# This may be replaced when dependencies are built.
