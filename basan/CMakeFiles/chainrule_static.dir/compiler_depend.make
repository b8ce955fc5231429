# Empty compiler generated dependencies file for chainrule_static.
# This may be replaced when dependencies are built.
