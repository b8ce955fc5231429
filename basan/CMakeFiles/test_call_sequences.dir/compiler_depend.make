# Empty compiler generated dependencies file for test_call_sequences.
# This may be replaced when dependencies are built.
