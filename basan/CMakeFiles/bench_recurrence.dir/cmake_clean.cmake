file(REMOVE_RECURSE
  "CMakeFiles/bench_recurrence.dir/bench/recurrence.c.o"
  "CMakeFiles/bench_recurrence.dir/bench/recurrence.c.o.d"
  "bench/recurrence"
  "bench/recurrence.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/bench_recurrence.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
