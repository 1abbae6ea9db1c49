// How long ranks wait for each other on GPUs.
#pragma once

#include <chrono>

namespace lockstep {

struct NcclDeadlines {
  std::chrono::milliseconds start = std::chrono::minutes(2);  ///< for all ranks to join the communicator
  std::chrono::milliseconds wait = std::chrono::minutes(30);  ///< for the device to do what was enqueued
  std::chrono::milliseconds end = std::chrono::minutes(1);    ///< for all ranks to leave it, and for an abort
  std::chrono::milliseconds poll{100};                        ///< between two questions for errors
};

}  // namespace lockstep
