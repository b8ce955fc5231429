file(REMOVE_RECURSE
  "CMakeFiles/example_03_vanishing.dir/examples/03_vanishing.c.o"
  "CMakeFiles/example_03_vanishing.dir/examples/03_vanishing.c.o.d"
  "examples/03_vanishing"
  "examples/03_vanishing.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/example_03_vanishing.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
