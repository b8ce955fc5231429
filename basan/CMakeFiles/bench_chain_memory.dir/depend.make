# Empty dependencies file for bench_chain_memory.
# This may be replaced when dependencies are built.
