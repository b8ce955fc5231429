# Empty dependencies file for test_tiny_products.
# This may be replaced when dependencies are built.
