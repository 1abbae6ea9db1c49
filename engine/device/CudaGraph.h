// What of the engine needs libtorch_cuda by name: the interface of the module lockstep-cuda.so.
#pragma once

#include <functional>
#include <memory>

#include "engine/device/Device.h"

/// Calls `enqueue` while the thread's current stream is being captured, and leaves the graph in `captured`. PyTorch's
/// generator and allocator take part: dropout draws anew in each replay, and the memory of what was made belongs to the
/// graph. Throws what kept it from being captured.
extern "C" void lockstep_capture_cuda_graph(const std::function<void()>& enqueue,
                                            std::unique_ptr<lockstep::CapturedWork>& captured);
