# Empty compiler generated dependencies file for test_training_bits.
# This may be replaced when dependencies are built.
