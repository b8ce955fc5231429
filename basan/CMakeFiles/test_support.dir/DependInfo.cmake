
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/tmp/w/conv8/tests/support/elementary.c" "CMakeFiles/test_support.dir/tests/support/elementary.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/elementary.c.o.d"
  "/tmp/w/conv8/tests/support/engine.c" "CMakeFiles/test_support.dir/tests/support/engine.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/engine.c.o.d"
  "/tmp/w/conv8/tests/support/half.c" "CMakeFiles/test_support.dir/tests/support/half.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/half.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference.c" "CMakeFiles/test_support.dir/tests/support/op_reference.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_attention.c" "CMakeFiles/test_support.dir/tests/support/op_reference_attention.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_attention.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_conv.c" "CMakeFiles/test_support.dir/tests/support/op_reference_conv.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_conv.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_images.c" "CMakeFiles/test_support.dir/tests/support/op_reference_images.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_images.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_index.c" "CMakeFiles/test_support.dir/tests/support/op_reference_index.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_index.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_linalg.c" "CMakeFiles/test_support.dir/tests/support/op_reference_linalg.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_linalg.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_lines.c" "CMakeFiles/test_support.dir/tests/support/op_reference_lines.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_lines.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_losses.c" "CMakeFiles/test_support.dir/tests/support/op_reference_losses.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_losses.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_movement.c" "CMakeFiles/test_support.dir/tests/support/op_reference_movement.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_movement.c.o.d"
  "/tmp/w/conv8/tests/support/op_reference_nn.c" "CMakeFiles/test_support.dir/tests/support/op_reference_nn.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_reference_nn.c.o.d"
  "/tmp/w/conv8/tests/support/op_run.c" "CMakeFiles/test_support.dir/tests/support/op_run.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_run.c.o.d"
  "/tmp/w/conv8/tests/support/op_sample.c" "CMakeFiles/test_support.dir/tests/support/op_sample.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/op_sample.c.o.d"
  "/tmp/w/conv8/tests/support/random_ops.c" "CMakeFiles/test_support.dir/tests/support/random_ops.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/random_ops.c.o.d"
  "/tmp/w/conv8/tests/support/random_program.c" "CMakeFiles/test_support.dir/tests/support/random_program.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/random_program.c.o.d"
  "/tmp/w/conv8/tests/support/random_world.c" "CMakeFiles/test_support.dir/tests/support/random_world.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/random_world.c.o.d"
  "/tmp/w/conv8/tests/support/rehearsal.c" "CMakeFiles/test_support.dir/tests/support/rehearsal.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/rehearsal.c.o.d"
  "/tmp/w/conv8/tests/support/supply.c" "CMakeFiles/test_support.dir/tests/support/supply.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/supply.c.o.d"
  "/tmp/w/conv8/tests/support/tap.c" "CMakeFiles/test_support.dir/tests/support/tap.c.o" "gcc" "CMakeFiles/test_support.dir/tests/support/tap.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  "/tmp/w/conv8/basan/CMakeFiles/chainrule_static.dir/DependInfo.cmake"
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
