# Empty compiler generated dependencies file for test_system_calls.
# This may be replaced when dependencies are built.
