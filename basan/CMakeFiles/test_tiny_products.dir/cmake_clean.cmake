file(REMOVE_RECURSE
  "CMakeFiles/test_tiny_products.dir/tests/tiny_products.c.o"
  "CMakeFiles/test_tiny_products.dir/tests/tiny_products.c.o.d"
  "tests/tiny_products"
  "tests/tiny_products.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_tiny_products.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
