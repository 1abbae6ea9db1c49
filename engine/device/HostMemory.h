// The memory of tensors on the host.
#pragma once

namespace lockstep {

/// From now on malloc keeps what is freed, and PyTorch's tensors on the host lie in memory that serves the next of
/// their size when they go. Of a whole process, for its main: before its first tensor.
///
/// Steps ask for the same sizes again and again. Memory that went back to the system would come back page by page. And
/// PyTorch's own allocator takes aligned memory from glibc, which cuts it out of a larger block and gives back what is
/// left: freed, it is too small for the next request of its size, and a process comes to hold half as much again as its
/// tensors.
void reuse_host_memory();

}  // namespace lockstep
