# lockstep_test(NAME SOURCES file... [LINK target...] [LABELS label...] [RANKS n...] [TIMEOUT seconds])
#
# One test executable per header under test, named for it. RANKS runs it under mpirun with each number of ranks. Labels: unit (the
# default), mpi, hosts, judge, gpu; soak beside another: `make soak` runs it long. Only a gpu test may skip.
function(lockstep_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS;RANKS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE ${ARG_LINK} GTest::gtest)
  if(ARG_RANKS)
    target_link_libraries(${NAME} PRIVATE lockstep_mpi_test_main)
    foreach(ranks ${ARG_RANKS})
      add_test(NAME ${NAME}.${ranks}ranks
        COMMAND mpirun --allow-run-as-root --oversubscribe --bind-to none --quiet
                --mca mpi_yield_when_idle 1 -np ${ranks} $<TARGET_FILE:${NAME}>)
      set_tests_properties(${NAME}.${ranks}ranks PROPERTIES LABELS mpi TIMEOUT ${ARG_TIMEOUT} PROCESSORS 2)
    endforeach()
  else()
    target_link_libraries(${NAME} PRIVATE GTest::gtest_main)
    add_test(NAME ${NAME} COMMAND ${NAME})
    set_tests_properties(${NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()
