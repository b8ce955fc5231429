# Empty dependencies file for test_fp_state.
# This may be replaced when dependencies are built.
