CMakeFiles/chainrule_objects.dir/src/kernel/doubles.c.o: \
  /usr/lib/llvm-14/lib/clang/14.0.6/share/asan_ignorelist.txt \
  ../src/kernel/doubles.c ../src/kernel/doubles.h ../src/kernel/isa.h \
  ../src/kernel/../base/compiler.h /usr/include/assert.h \
  /usr/include/features.h /usr/include/features-time64.h \
  /usr/include/x86_64-linux-gnu/bits/wordsize.h \
  /usr/include/x86_64-linux-gnu/bits/timesize.h \
  /usr/include/stdc-predef.h /usr/include/x86_64-linux-gnu/sys/cdefs.h \
  /usr/include/x86_64-linux-gnu/bits/long-double.h \
  /usr/include/x86_64-linux-gnu/gnu/stubs.h \
  /usr/include/x86_64-linux-gnu/gnu/stubs-64.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/stdatomic.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/stddef.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/__stddef_max_align_t.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/stdint.h \
  /usr/include/stdint.h \
  /usr/include/x86_64-linux-gnu/bits/libc-header-start.h \
  /usr/include/x86_64-linux-gnu/bits/types.h \
  /usr/include/x86_64-linux-gnu/bits/typesizes.h \
  /usr/include/x86_64-linux-gnu/bits/time64.h \
  /usr/include/x86_64-linux-gnu/bits/wchar.h \
  /usr/include/x86_64-linux-gnu/bits/stdint-intn.h \
  /usr/include/x86_64-linux-gnu/bits/stdint-uintn.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/stdbool.h \
  ../src/kernel/kernel.h ../src/kernel/../base/dtype.h \
  ../include/chainrule.h ../include/chainrule/core.h \
  ../include/chainrule/api.h /usr/include/math.h \
  /usr/include/x86_64-linux-gnu/bits/math-vector.h \
  /usr/include/x86_64-linux-gnu/bits/libm-simd-decl-stubs.h \
  /usr/include/x86_64-linux-gnu/bits/floatn.h \
  /usr/include/x86_64-linux-gnu/bits/floatn-common.h \
  /usr/include/x86_64-linux-gnu/bits/flt-eval-method.h \
  /usr/include/x86_64-linux-gnu/bits/fp-logb.h \
  /usr/include/x86_64-linux-gnu/bits/fp-fast.h \
  /usr/include/x86_64-linux-gnu/bits/mathcalls-helper-functions.h \
  /usr/include/x86_64-linux-gnu/bits/mathcalls.h /usr/include/stdio.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/stdarg.h \
  /usr/include/x86_64-linux-gnu/bits/types/__fpos_t.h \
  /usr/include/x86_64-linux-gnu/bits/types/__mbstate_t.h \
  /usr/include/x86_64-linux-gnu/bits/types/__fpos64_t.h \
  /usr/include/x86_64-linux-gnu/bits/types/__FILE.h \
  /usr/include/x86_64-linux-gnu/bits/types/FILE.h \
  /usr/include/x86_64-linux-gnu/bits/types/struct_FILE.h \
  /usr/include/x86_64-linux-gnu/bits/stdio_lim.h \
  /usr/include/x86_64-linux-gnu/bits/stdio.h \
  ../include/chainrule/macros.h ../include/chainrule/autograd.h \
  ../include/chainrule/maps.h ../include/chainrule/activations.h \
  ../include/chainrule/reductions.h ../include/chainrule/scans.h \
  ../include/chainrule/distances.h ../include/chainrule/views.h \
  ../include/chainrule/products.h ../include/chainrule/convolutions.h \
  ../include/chainrule/indexing.h ../include/chainrule/norms.h \
  ../include/chainrule/linalg.h ../include/chainrule/attention.h \
  ../include/chainrule/pooling.h ../include/chainrule/images.h \
  ../include/chainrule/losses.h ../include/chainrule/sampling.h \
  ../include/chainrule/sorting.h ../include/chainrule/operations.h \
  ../include/chainrule/modules.h ../include/chainrule/optimisers.h \
  ../src/kernel/../base/fp.h ../src/kernel/../base/threads.h \
  ../src/kernel/maps.inc ../src/kernel/reductions.inc \
  ../src/kernel/math64_tables.h ../src/kernel/rows.h \
  /usr/include/string.h ../src/kernel/for_each_set.h \
  ../src/kernel/vec_generic.h ../src/kernel/fma.h ../src/kernel/vec.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/immintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/x86gprintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/hresetintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/uintrintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/crc32intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/mmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/xmmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/mm_malloc.h \
  /usr/include/stdlib.h \
  /usr/include/x86_64-linux-gnu/bits/stdlib-bsearch.h \
  /usr/include/x86_64-linux-gnu/bits/stdlib-float.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/emmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/pmmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/tmmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/smmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/popcntintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/wmmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/__wmmintrin_aes.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/__wmmintrin_pclmul.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/clflushoptintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/clwbintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avxintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx2intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/f16cintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/bmiintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/bmi2intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/lzcntintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/fmaintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512fintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512bwintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512bitalgintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512cdintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vpopcntdqintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vpopcntdqvlintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vnniintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlvnniintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avxvnniintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512dqintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlbitalgintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlbwintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlcdintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vldqintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512erintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512ifmaintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512ifmavlintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vbmiintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vbmivlintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vbmi2intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlvbmi2intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512pfintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512bf16intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlbf16intrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/pkuintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/vpclmulqdqintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/vaesintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/gfniintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/rtmintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/xtestintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/shaintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/fxsrintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/xsaveintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/xsaveoptintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/xsavecintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/xsavesintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/cetintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/adxintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/rdseedintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/wbnoinvdintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/cldemoteintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/waitpkgintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/movdirintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/pconfigintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/sgxintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/ptwriteintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/invpcidintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/keylockerintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/amxintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vp2intersectintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/avx512vlvp2intersectintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/enqcmdintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/serializeintrin.h \
  /usr/lib/llvm-14/lib/clang/14.0.6/include/tsxldtrkintrin.h \
  ../src/kernel/vec_types.h ../src/kernel/vec_plain.h \
  ../src/kernel/vec_lanes.h ../src/kernel/vec_parts.h \
  ../src/kernel/doubles_body.h ../src/kernel/math64_body.h \
  ../src/kernel/special64_body.h ../src/kernel/for_each_float.h \
  ../src/kernel/doubles_loop.h ../src/kernel/vec_avx2.h \
  ../src/kernel/vec_squares.h ../src/kernel/vec_avx512.h
