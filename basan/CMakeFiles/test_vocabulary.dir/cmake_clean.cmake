file(REMOVE_RECURSE
  "CMakeFiles/test_vocabulary.dir/tests/vocabulary.c.o"
  "CMakeFiles/test_vocabulary.dir/tests/vocabulary.c.o.d"
  "tests/vocabulary"
  "tests/vocabulary.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_vocabulary.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
