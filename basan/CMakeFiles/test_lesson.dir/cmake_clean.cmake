file(REMOVE_RECURSE
  "CMakeFiles/test_lesson.dir/tests/lesson.c.o"
  "CMakeFiles/test_lesson.dir/tests/lesson.c.o.d"
  "tests/lesson"
  "tests/lesson.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_lesson.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
