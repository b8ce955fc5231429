file(REMOVE_RECURSE
  "CMakeFiles/example_02_deep_sigmoid.dir/examples/02_deep_sigmoid.c.o"
  "CMakeFiles/example_02_deep_sigmoid.dir/examples/02_deep_sigmoid.c.o.d"
  "examples/02_deep_sigmoid"
  "examples/02_deep_sigmoid.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/example_02_deep_sigmoid.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
