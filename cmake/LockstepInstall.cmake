# `cmake --install BUILD --prefix DIR` puts all of Lockstep that is not Debian's (docker/install.sh runtime) below DIR: programs
# into bin, and into lib the shared libraries of the wheels that they load. The tree may be moved.
#
# Component cpu is whole in itself; component cuda adds what GPUs take, most of it NVIDIA's. Component library is what other
# programs are built with: liblockstep.so, its headers, CMake's package, the Fortran module. It is whole in itself, too; component library_cuda adds what GPUs take.

# lockstep_install_libraries(COMPONENT TARGETS target... [LOADED file...]): what the targets load of the wheels. LOADED are libraries
# that others open by name when they need them.
function(lockstep_install_libraries COMPONENT)
  cmake_parse_arguments(ARG "" "" "TARGETS;LOADED" ${ARGN})
  list(TRANSFORM ARG_TARGETS REPLACE ".+" "$<TARGET_FILE:\\0>" OUTPUT_VARIABLE binaries)
  install(CODE "
    file(GET_RUNTIME_DEPENDENCIES LIBRARIES ${binaries} ${ARG_LOADED} RESOLVED_DEPENDENCIES_VAR libraries
      PRE_EXCLUDE_REGEXES [[^libcuda\\.so]]  # the driver's
      POST_INCLUDE_REGEXES /site-packages/ POST_EXCLUDE_REGEXES .)
    file(INSTALL \${libraries} ${ARG_LOADED} DESTINATION \${CMAKE_INSTALL_PREFIX}/lib FOLLOW_SYMLINK_CHAIN)"
    COMPONENT ${COMPONENT})
endfunction()

install(TARGETS lockstep lockstep-rank lockstep-arrow RUNTIME DESTINATION bin COMPONENT cpu LIBRARY DESTINATION bin COMPONENT cpu)
lockstep_install_libraries(cpu TARGETS lockstep lockstep-rank lockstep-arrow)
# SageMaker starts `train`.
install(CODE "file(CREATE_LINK lockstep \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/bin/train SYMBOLIC)" COMPONENT cpu)

if(LOCKSTEP_CUDA)
  file(GLOB loaded ${Libtorch_ROOT}/lib/libtorch_cuda_linalg.so ${Libtorch_ROOT}/lib/libcaffe2_nvrtc.so
    ${wheel}/lib/libnvrtc-builtins.so.* ${wheel}/../cudnn/lib/libcudnn_*.so.*)
  install(TARGETS lockstep-cuda LIBRARY DESTINATION bin COMPONENT cuda)
  lockstep_install_libraries(cuda TARGETS lockstep-cuda LOADED ${loaded})
endif()

# A library looks for its modules beside itself: they are in lib once more.
install(TARGETS lockstep_shared EXPORT LockstepTargets LIBRARY DESTINATION lib COMPONENT library)
install(TARGETS lockstep-arrow LIBRARY DESTINATION lib COMPONENT library)
lockstep_install_libraries(library TARGETS lockstep_shared lockstep-arrow)
if(LOCKSTEP_CUDA)
  install(TARGETS lockstep-cuda LIBRARY DESTINATION lib COMPONENT library_cuda)
  lockstep_install_libraries(library_cuda TARGETS lockstep-cuda LOADED ${loaded})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/lockstep DESTINATION include COMPONENT library)
install(FILES ${PROJECT_SOURCE_DIR}/library/lockstep.f90 DESTINATION share/lockstep COMPONENT library)
if(TARGET lockstep_fortran)
  install(TARGETS lockstep_fortran EXPORT LockstepTargets ARCHIVE DESTINATION lib COMPONENT library)
  install(FILES ${PROJECT_BINARY_DIR}/library/lockstep.mod DESTINATION include/lockstep/fortran COMPONENT library)
endif()
install(EXPORT LockstepTargets NAMESPACE Lockstep:: DESTINATION lib/cmake/Lockstep COMPONENT library)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/LockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/LockstepConfig.cmake ${PROJECT_BINARY_DIR}/LockstepConfigVersion.cmake
  DESTINATION lib/cmake/Lockstep COMPONENT library)

# Component wheel is what packaging/wheel.py packs: programs that look for the wheels' libraries where pip puts those.
set(wheel_programs lockstep lockstep-rank lockstep-arrow)
if(LOCKSTEP_CUDA)
  list(APPEND wheel_programs lockstep-cuda)
endif()
foreach(program ${wheel_programs})
  install(PROGRAMS $<TARGET_FILE:${program}> DESTINATION . COMPONENT wheel EXCLUDE_FROM_ALL)
  if(NOT program STREQUAL "lockstep")  # it needs nothing of them
    install(CODE "
      file(RPATH_SET FILE \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/$<TARGET_FILE_NAME:${program}>
        NEW_RPATH \\$ORIGIN/../../torch/lib:\\$ORIGIN/../../nvidia/cu13/lib:\\$ORIGIN/../../nvidia/nccl/lib:\\$ORIGIN/../../pyarrow)"
      COMPONENT wheel EXCLUDE_FROM_ALL)
  endif()
endforeach()

# `cpack` makes a Debian package of component cpu: programs below /usr/lib/lockstep, and links to them in /usr/bin. Its dependencies
# are the packages of docker/install.sh runtime.
file(READ ${PROJECT_SOURCE_DIR}/docker/install.sh packages)
string(REGEX REPLACE ".*\ndebian_runtime=\\(([^)]*)\\).*" "\\1" packages "${packages}")
string(REGEX MATCHALL "[a-z0-9.+-]+" packages "${packages}")
list(JOIN packages ", " CPACK_DEBIAN_PACKAGE_DEPENDS)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lockstep)
set(CPACK_PACKAGE_CONTACT "Lockstep")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Data-parallel training engine for programs that PyTorch exported, on CPUs")
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};lockstep;cpu;/")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr/lib/lockstep)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/debian/postinst ${PROJECT_SOURCE_DIR}/packaging/debian/prerm)
include(CPack)
