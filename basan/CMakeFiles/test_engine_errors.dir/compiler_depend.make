# Empty compiler generated dependencies file for test_engine_errors.
# This may be replaced when dependencies are built.
