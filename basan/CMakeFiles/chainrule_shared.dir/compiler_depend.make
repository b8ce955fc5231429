# Empty compiler generated dependencies file for chainrule_shared.
# This may be replaced when dependencies are built.
