file(REMOVE_RECURSE
  "CMakeFiles/example_05_digits.dir/examples/05_digits.c.o"
  "CMakeFiles/example_05_digits.dir/examples/05_digits.c.o.d"
  "examples/05_digits"
  "examples/05_digits.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/example_05_digits.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
