file(REMOVE_RECURSE
  "CMakeFiles/bench_tiny.dir/bench/tiny.c.o"
  "CMakeFiles/bench_tiny.dir/bench/tiny.c.o.d"
  "bench/tiny"
  "bench/tiny.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/bench_tiny.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
