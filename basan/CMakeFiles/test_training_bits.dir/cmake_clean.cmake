file(REMOVE_RECURSE
  "CMakeFiles/test_training_bits.dir/tests/training_bits.c.o"
  "CMakeFiles/test_training_bits.dir/tests/training_bits.c.o.d"
  "tests/training_bits"
  "tests/training_bits.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_training_bits.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
