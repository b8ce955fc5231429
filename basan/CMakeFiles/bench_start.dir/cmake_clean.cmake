file(REMOVE_RECURSE
  "CMakeFiles/bench_start.dir/bench/start.c.o"
  "CMakeFiles/bench_start.dir/bench/start.c.o.d"
  "bench/start"
  "bench/start.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/bench_start.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
