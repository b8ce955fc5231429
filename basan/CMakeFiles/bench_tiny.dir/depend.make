# Empty dependencies file for bench_tiny.
# This may be replaced when dependencies are built.
