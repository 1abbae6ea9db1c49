#include "engine/train/CapturedStep.h"

#include <c10/util/Exception.h>

#include <cstdint>

#include "common/Error.h"
#include "engine/collectives/DeviceWait.h"
#include "engine/program/TorchError.h"

namespace lockstep {

namespace {

// Libraries make their plans and communicators their connections in the first steps: those must not be captured.
constexpr int kStepsBeforeCapture = 3;

}  // namespace

bool CapturedStep::run(const Batch& batch, const Compute& compute) {
  if (!failure_.empty()) {
    compute(batch);
    return false;
  }
  if (steps_ < kStepsBeforeCapture) {
    ++steps_ < kStepsBeforeCapture ? compute(batch) : watch(batch, compute);
    return false;
  }
  if (!captured_) capture(batch, compute);
  // What is replayed asks nobody: after an abort it would take rubbish for the other ranks' gradients.
  communicator_.check();
  batch_.copy_from(batch);
  captured_->replay();
  return true;
}

// An attempt that fails leaves PyTorch's allocator, its generator and NCCL in the middle of a capture, so it is found
// out beforehand. A collective that is replayed on one rank must be replayed on all.
void CapturedStep::watch(const Batch& batch, const Compute& compute) {
  failure_ = device_.watch([&] { compute(batch); });
  std::int64_t failed = failure_.empty() ? 0 : 1;
  host_.all_reduce(&failed, 1, DataType::kInt64, ReduceOp::kMax)->wait();
  if (failed > 0 && failure_.empty()) failure_ = "another rank could not";
}

void CapturedStep::capture(const Batch& batch, const Compute& compute) {
  batch_ = batch.clone();
  const std::string context = "a step could not be captured as a CUDA graph; cuda_graph=false does without";
  await_device(communicator_, device_.place());
  try {
    captured_ = device_.capture([&] { compute(batch_); });
  } catch (const c10::Error& error) {
    rethrow(error, context);
  } catch (const InputError& error) {
    throw InputError(context + ": " + error.what());
  }
}

}  // namespace lockstep
