# Empty compiler generated dependencies file for example_01_chain_rule.
# This may be replaced when dependencies are built.
