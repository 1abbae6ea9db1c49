// What a function of the caller's has thrown, on its way back to the caller.
#pragma once

#include <exception>

namespace lockstep {

/// No Error: nothing of ours is to make words of it.
struct CallerError {
  std::exception_ptr thrown;
};

/// Calls a function of the caller's.
template <typename Function>
auto calling_back(const Function& function) {
  try {
    return function();
  } catch (...) {
    throw CallerError{std::current_exception()};
  }
}

}  // namespace lockstep
