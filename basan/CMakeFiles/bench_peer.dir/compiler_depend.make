# Empty compiler generated dependencies file for bench_peer.
# This may be replaced when dependencies are built.
