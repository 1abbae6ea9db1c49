// The CUDA form of an operator is the overload that takes a stream.
#pragma once

struct CUstream_st;

namespace lockstep::kernels {

/// A cudaStream_t, named without CUDA's headers: an operator's work is enqueued there, and the arguments' memory must
/// stay as it is until the stream has done it. nullptr is CUDA's default stream.
using Stream = ::CUstream_st*;

}  // namespace lockstep::kernels
