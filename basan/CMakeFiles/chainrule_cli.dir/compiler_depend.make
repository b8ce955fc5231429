# Empty compiler generated dependencies file for chainrule_cli.
# This may be replaced when dependencies are built.
