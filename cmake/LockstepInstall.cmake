# `cmake --install BUILD --prefix DIR` puts all of Lockstep that is not Debian's (docker/install.sh runtime) below DIR: programs
# into bin, and into lib the shared libraries of the wheels that they load. The tree may be moved.
#
# Component cpu is whole in itself; component cuda adds what GPUs take, most of it NVIDIA's.

# lockstep_install(COMPONENT TARGETS target... [LOADED file...]): LOADED are libraries that others open by name when they need them.
function(lockstep_install COMPONENT)
  cmake_parse_arguments(ARG "" "" "TARGETS;LOADED" ${ARGN})
  install(TARGETS ${ARG_TARGETS} RUNTIME DESTINATION bin COMPONENT ${COMPONENT} LIBRARY DESTINATION bin COMPONENT ${COMPONENT})
  list(TRANSFORM ARG_TARGETS REPLACE ".+" "$<TARGET_FILE:\\0>" OUTPUT_VARIABLE binaries)
  install(CODE "
    file(GET_RUNTIME_DEPENDENCIES LIBRARIES ${binaries} ${ARG_LOADED} RESOLVED_DEPENDENCIES_VAR libraries
      PRE_EXCLUDE_REGEXES [[^libcuda\\.so]]  # the driver's
      POST_INCLUDE_REGEXES /site-packages/ POST_EXCLUDE_REGEXES .)
    file(INSTALL \${libraries} ${ARG_LOADED} DESTINATION \${CMAKE_INSTALL_PREFIX}/lib FOLLOW_SYMLINK_CHAIN)"
    COMPONENT ${COMPONENT})
endfunction()

lockstep_install(cpu TARGETS lockstep lockstep-rank lockstep-arrow)
# SageMaker starts `train`.
install(CODE "file(CREATE_LINK lockstep \${CMAKE_INSTALL_PREFIX}/bin/train SYMBOLIC)" COMPONENT cpu)

if(LOCKSTEP_CUDA)
  file(GLOB loaded ${Libtorch_ROOT}/lib/libtorch_cuda_linalg.so ${Libtorch_ROOT}/lib/libcaffe2_nvrtc.so
    ${wheel}/lib/libnvrtc-builtins.so.* ${wheel}/../cudnn/lib/libcudnn_*.so.*)
  lockstep_install(cuda TARGETS lockstep-cuda LOADED ${loaded})
endif()
