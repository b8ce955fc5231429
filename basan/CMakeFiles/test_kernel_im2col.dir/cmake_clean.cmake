file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_im2col.dir/tests/kernel_im2col.c.o"
  "CMakeFiles/test_kernel_im2col.dir/tests/kernel_im2col.c.o.d"
  "tests/kernel_im2col"
  "tests/kernel_im2col.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_im2col.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
