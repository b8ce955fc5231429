# Empty dependencies file for test_op_errors.
# This may be replaced when dependencies are built.
