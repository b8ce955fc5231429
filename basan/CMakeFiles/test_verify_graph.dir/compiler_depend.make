# Empty compiler generated dependencies file for test_verify_graph.
# This may be replaced when dependencies are built.
