# Empty dependencies file for chainrule_objects.
# This may be replaced when dependencies are built.
