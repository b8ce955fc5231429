file(REMOVE_RECURSE
  "CMakeFiles/bench_scaling.dir/bench/scaling.c.o"
  "CMakeFiles/bench_scaling.dir/bench/scaling.c.o.d"
  "bench/scaling"
  "bench/scaling.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/bench_scaling.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
