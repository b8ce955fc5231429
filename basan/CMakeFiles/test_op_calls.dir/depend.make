# Empty dependencies file for test_op_calls.
# This may be replaced when dependencies are built.
