file(REMOVE_RECURSE
  "CMakeFiles/example_04_custom_op.dir/examples/04_custom_op.c.o"
  "CMakeFiles/example_04_custom_op.dir/examples/04_custom_op.c.o.d"
  "examples/04_custom_op"
  "examples/04_custom_op.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/example_04_custom_op.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
