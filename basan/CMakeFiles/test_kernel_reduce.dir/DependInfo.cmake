
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/tmp/w/conv8/tests/kernel_reduce.c" "CMakeFiles/test_kernel_reduce.dir/tests/kernel_reduce.c.o" "gcc" "CMakeFiles/test_kernel_reduce.dir/tests/kernel_reduce.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  "/tmp/w/conv8/basan/CMakeFiles/chainrule_static.dir/DependInfo.cmake"
  "/tmp/w/conv8/basan/CMakeFiles/test_support.dir/DependInfo.cmake"
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
