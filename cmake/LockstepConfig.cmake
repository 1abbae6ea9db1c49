# find_package(Lockstep): the targets Lockstep::lockstep (C and C++) and, where it was built, Lockstep::fortran.
#
# liblockstep.so finds libtorch beside itself, by its own RUNPATH; the linker needs to be told.
include(${CMAKE_CURRENT_LIST_DIR}/LockstepTargets.cmake)
get_filename_component(_lockstep_libraries ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set_property(TARGET Lockstep::lockstep APPEND PROPERTY INTERFACE_LINK_OPTIONS "LINKER:-rpath-link,${_lockstep_libraries}")
unset(_lockstep_libraries)
