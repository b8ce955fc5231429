# Empty dependencies file for bench_scaling.
# This may be replaced when dependencies are built.
