file(REMOVE_RECURSE
  "CMakeFiles/example_demo.dir/examples/demo.c.o"
  "CMakeFiles/example_demo.dir/examples/demo.c.o.d"
  "examples/demo"
  "examples/demo.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/example_demo.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
