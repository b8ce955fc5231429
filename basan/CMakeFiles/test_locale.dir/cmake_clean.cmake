file(REMOVE_RECURSE
  "CMakeFiles/test_locale.dir/tests/locale.c.o"
  "CMakeFiles/test_locale.dir/tests/locale.c.o.d"
  "tests/locale"
  "tests/locale.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_locale.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
