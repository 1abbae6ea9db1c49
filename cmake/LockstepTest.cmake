# lockstep_test(NAME SOURCES file... [LINK target...] [LABELS label...] [RANKS n...] [TIMEOUT seconds])
#
# One test executable per header under test, named for it. RANKS runs it under mpirun with each number of ranks. Labels: unit (the
# default), mpi (that of RANKS), hosts, judge, gpu; soak beside another: `make soak` runs it long. Only a gpu test may skip, by
# exit code 77, with RANKS by saying "no CUDA device".
#
# With LOCKSTEP_SANITIZE a report fails its test. A test that runs under mpirun does so with its fewest ranks only, and
# ThreadSanitizer goes without the tests that link OpenMP (kernels) or libtorch: their libgomp is not instrumented, so that it
# would not see that threads wait for one another there.
# What is tested is compiled as it is used; the tests themselves as is quickest: with libtorch's headers, whose small functions
# would all be written out, in two thirds of the time, and without them in two thirds of that.
add_library(lockstep_test_options INTERFACE)
target_compile_options(lockstep_test_options INTERFACE $<$<CONFIG:Release>:-O1>)
add_library(lockstep_plain_test_options INTERFACE)
target_compile_options(lockstep_plain_test_options INTERFACE $<$<CONFIG:Release>:-O0>)

add_custom_target(tests)  # builds them all
add_custom_target(gpu_tests)

if(LOCKSTEP_SANITIZE)
  set(LOCKSTEP_UNIT_ENVIRONMENT
    "ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1" "UBSAN_OPTIONS=print_stacktrace=1"
    "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/sanitizers/lsan.supp:print_suppressions=0")
  # OpenMPI has no frame pointers: only the slow unwinder finds the functions that lsan.supp names.
  list(TRANSFORM LOCKSTEP_UNIT_ENVIRONMENT REPLACE "^ASAN_.*" "\\0:fast_unwind_on_malloc=0" OUTPUT_VARIABLE LOCKSTEP_MPI_ENVIRONMENT)
endif()

function(lockstep_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS;RANKS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
    if(ARG_RANKS)
      set(ARG_LABELS mpi)
    endif()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 180)
  endif()
  if(LOCKSTEP_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  lockstep_links(has_openmp Libtorch::openmp ${ARG_LINK})
  if(has_openmp AND LOCKSTEP_SANITIZE STREQUAL "thread")
    return()
  endif()
  set(options lockstep_plain_test_options)
  if(has_openmp)
    set(options lockstep_test_options)
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  add_dependencies(tests ${NAME})
  if("gpu" IN_LIST ARG_LABELS)
    add_dependencies(gpu_tests ${NAME})
  endif()
  target_link_libraries(${NAME} PRIVATE ${ARG_LINK} GTest::gtest ${options})
  if(ARG_RANKS)
    target_link_libraries(${NAME} PRIVATE lockstep_mpi_test_main)
    if(LOCKSTEP_SANITIZE)
      list(GET ARG_RANKS 0 ARG_RANKS)
    endif()
    foreach(ranks ${ARG_RANKS})
      add_test(NAME ${NAME}.${ranks}ranks
        COMMAND mpirun --allow-run-as-root --oversubscribe --bind-to none --quiet
                --mca mpi_yield_when_idle 1 -np ${ranks} $<TARGET_FILE:${NAME}>)
      set_tests_properties(${NAME}.${ranks}ranks PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} PROCESSORS 2
        ENVIRONMENT "${LOCKSTEP_MPI_ENVIRONMENT}")
      if("gpu" IN_LIST ARG_LABELS)
        set_tests_properties(${NAME}.${ranks}ranks PROPERTIES SKIP_REGULAR_EXPRESSION "no CUDA device")
      endif()
    endforeach()
  else()
    if(NOT "gpu" IN_LIST ARG_LABELS)  # they bring a main of their own
      target_link_libraries(${NAME} PRIVATE GTest::gtest_main)
    endif()
    add_test(NAME ${NAME} COMMAND ${NAME})
    set_tests_properties(${NAME} PROPERTIES LABELS "${ARG_LABELS}" SKIP_RETURN_CODE 77 TIMEOUT ${ARG_TIMEOUT}
      ENVIRONMENT "${LOCKSTEP_UNIT_ENVIRONMENT}")
  endif()
endfunction()

# lockstep_emulated_test(NAME ...): a test of the engine as lockstep_test registers it, in which kernels run in their CUDA
# form under the emulator. The emulated forms come first, as a whole, so that nothing of nvcc's is linked beside them.
function(lockstep_emulated_test NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(NOT LOCKSTEP_SANITIZE)
    lockstep_test(${NAME} SOURCES ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/EmulatedKernelForm.cpp
      LINK $<LINK_LIBRARY:WHOLE_ARCHIVE,lockstep_kernels_emulated> ${ARG_LINK} ${ARG_UNPARSED_ARGUMENTS})
  endif()
endfunction()

# lockstep_soaks(TEST SCRIPT): a script that LOCKSTEP_SOAK makes longer is one of `make soak`, too.
function(lockstep_soaks TEST SCRIPT)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${SCRIPT})
  file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/${SCRIPT} found REGEX LOCKSTEP_SOAK)
  if(found)
    set_property(TEST ${TEST} APPEND PROPERTY LABELS soak)
    set_tests_properties(${TEST} PROPERTIES TIMEOUT 3600)
  endif()
endfunction()
