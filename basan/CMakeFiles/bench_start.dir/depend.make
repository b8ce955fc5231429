# Empty dependencies file for bench_start.
# This may be replaced when dependencies are built.
