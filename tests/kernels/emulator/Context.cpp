#include "tests/kernels/emulator/Context.h"

#include <array>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// swapcontext without its two system calls, which took most of a test's time: what a function must keep by the System V
// ABI goes to the stack, and the stack is changed. The rounding mode is not kept: kernels do not set it.
extern "C" void lockstep_change_stack(void** from, void* to);
asm(R"(
  .text
  .type lockstep_change_stack, @function
lockstep_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size lockstep_change_stack, . - lockstep_change_stack
)");
#endif

namespace lockstep::emulator {

namespace {

Context* coming_from = nullptr;

}  // namespace

void Context::start(void* stack, std::size_t bytes, void (*entry)()) {
  stack_ = stack;
  bytes_ = bytes;
  fake_stack_ = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack, bytes);
#endif
#if defined(__x86_64__)
  // Six registers, where to go, and where that would return to: the stack pointer is then as after a call.
  constexpr std::size_t kWords = 8;
  auto* words = reinterpret_cast<std::uintptr_t*>(static_cast<std::byte*>(stack) + bytes) - kWords;
  for (std::size_t i = 0; i < kWords; ++i) words[i] = 0;
  words[6] = reinterpret_cast<std::uintptr_t>(entry);
  pointer_ = words;
#else
  getcontext(&context_);
  context_.uc_stack = {.ss_sp = stack, .ss_flags = 0, .ss_size = bytes};
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

void Context::change(Context& from, Context& to, [[maybe_unused]] bool leaving) {
  coming_from = &from;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(leaving ? nullptr : &from.fake_stack_, to.stack_, to.bytes_);
#endif
#if defined(__x86_64__)
  lockstep_change_stack(&from.pointer_, to.pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(from.fake_stack_, &stack, &bytes);
  coming_from->stack_ = const_cast<void*>(stack);
  coming_from->bytes_ = bytes;
#endif
}

void Context::entered() {
#if defined(__SANITIZE_ADDRESS__)
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
  coming_from->stack_ = const_cast<void*>(stack);
  coming_from->bytes_ = bytes;
#endif
}

}  // namespace lockstep::emulator
