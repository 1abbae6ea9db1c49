// What becomes of an operation that no ONNX model can hold.
#pragma once

#include <cstddef>
#include <string>

#include "common/Error.h"

namespace lockstep {

/// An operation that ONNX, or ONNX Runtime, does not have.
class OnnxRefusal : public InputError {
 public:
  OnnxRefusal(const std::string& why, std::size_t origin) : InputError(why), origin_(origin) {}
  std::size_t origin() const { return origin_; }  ///< the node of the program

 private:
  std::size_t origin_;
};

}  // namespace lockstep
