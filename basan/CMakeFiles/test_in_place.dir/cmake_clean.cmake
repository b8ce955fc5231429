file(REMOVE_RECURSE
  "CMakeFiles/test_in_place.dir/tests/in_place.c.o"
  "CMakeFiles/test_in_place.dir/tests/in_place.c.o.d"
  "tests/in_place"
  "tests/in_place.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_in_place.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
